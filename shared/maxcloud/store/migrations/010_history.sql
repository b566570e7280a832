-- What became of a service, for the people who ask why: each change of its generation, status or
-- reason, written by the database itself, so that no write can forget it.
create table service_events (
    id         bigint generated always as identity primary key,
    org_id     uuid not null,
    service_id uuid not null references services on delete cascade,
    generation bigint not null,
    status     text not null,
    reason     text not null,
    message    text not null,
    by         text not null,  -- who wrote the generation
    at         timestamptz not null default clock_timestamp()
);

create index service_events_service on service_events (service_id, id);

call protect_tenant_table('service_events');

create function note_service_event() returns trigger
    language plpgsql set search_path = pg_catalog, public as
$$
begin
    insert into service_events (org_id, service_id, generation, status, reason, message, by)
    values (
        new.org_id, new.id, new.generation, new.status, new.reason, left(new.message, 1000),
        new.updated_by
    );
    -- The newest hundred of each service are kept.
    delete from service_events
    where service_id = new.id and id <= (
        select id from service_events where service_id = new.id order by id desc offset 100 limit 1
    );
    return null;
end
$$;

create trigger note_service_insert after insert on services
    for each row execute function note_service_event();
create trigger note_service_update after update on services
    for each row
    when ((old.generation, old.status, old.reason) is distinct from (new.generation, new.status, new.reason))
    execute function note_service_event();
