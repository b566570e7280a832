-- The organisation of the platform's own functions (maxcloud/system.py). Its rows say what an
-- installation has put into the cluster: whatever its code does, the API only reads them, nothing
-- deletes one in the cluster, and `reconcile` knows of no such organisation.
create function system_org() returns uuid language sql immutable parallel safe as
$$ select '00000000-0000-4000-8000-000000000003'::uuid $$;

alter table organizations no force row level security;
insert into organizations (id, name)
select
    system_org(),
    -- Whoever had the name before keeps it.
    case
        when exists (select from organizations where lower(name) = 'system')
        then 'system ' || system_org()
        else 'system'
    end;
alter table organizations force row level security;

-- Its keys need somebody who has them. What is no address can neither register nor be invited.
select set_config('app.org', system_org()::text, true);
insert into users (id, email) values ('00000000-0000-4000-8000-000000000004', 'system');
insert into memberships (org_id, user_id, role, verified_at)
values (system_org(), '00000000-0000-4000-8000-000000000004', 'member', now());

create procedure keep_system_rows(name regclass) language plpgsql as $$
begin
    execute format('create policy system_insert on %s as restrictive for insert to mc_api with check (org_id <> system_org())', name);
    execute format('create policy system_update on %s as restrictive for update to mc_api using (org_id <> system_org())', name);
    execute format('create policy system_delete on %s as restrictive for delete to mc_api using (org_id <> system_org())', name);
end $$;

call keep_system_rows('services');
call keep_system_rows('tombstones');
call keep_system_rows('revisions');
call keep_system_rows('service_events');
call keep_system_rows('memberships');
call keep_system_rows('api_keys');
call keep_system_rows('invitations');
call keep_system_rows('images');
call keep_system_rows('idempotency_keys');
create policy system_update on organizations as restrictive for update to mc_api
    using (id <> system_org());

-- That a key was used is kept of every one, and nothing else of a key ever changes.
drop policy system_update on api_keys;
revoke update on api_keys from mc_api;
grant update (last_used_at) on api_keys to mc_api;

-- It has no namespace of its own that could be isolated.
create policy system_select on organizations as restrictive for select to mc_worker
    using (id <> system_org());

-- Only a row that goes and a tombstone let anything be deleted in the cluster.
alter table services add constraint services_system_stays
    check (org_id <> system_org() or status <> 'deleting');
alter table tombstones add constraint tombstones_system_stays check (org_id <> system_org());
