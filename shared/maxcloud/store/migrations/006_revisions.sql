-- Each template that was ever applied, so that a revision that Knative collected comes back.
create table revisions (
    id         uuid primary key default gen_random_uuid(),
    org_id     uuid not null,
    service_id uuid not null references services on delete cascade,
    generation bigint not null,
    name       text not null,
    image      text not null,
    digest     text not null,
    template   jsonb not null,
    created_by text not null default '',
    created_at timestamptz not null default now(),
    constraint revisions_generation_key unique (service_id, generation)
);

call protect_tenant_table('revisions');
