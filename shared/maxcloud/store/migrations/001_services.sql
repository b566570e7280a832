-- What a tenant wants (generation) and what the cluster has (observed_generation).
create table services (
    id                  uuid primary key default gen_random_uuid(),
    org_id              uuid not null,
    name                text not null,
    image               text not null,
    digest              text,            -- null: the image is still to be resolved
    env_vars            jsonb not null default '{}',
    min_scale           integer not null default 0,
    max_scale           integer not null default 10,
    concurrency         integer not null default 80,
    cpu                 text not null default '1',
    memory              text not null default '512Mi',
    timeout_seconds     integer not null default 300,
    traffic             jsonb not null default '[{"revision": "latest", "percent": 100}]',
    status              text not null default 'pending',
    reason              text not null default 'Accepted',
    message             text not null default '',
    generation          bigint not null default 1,
    observed_generation bigint not null default 0,
    latest_revision     text,
    ready_revision      text,
    cluster_generation  bigint,          -- metadata.generation of the ksvc that we wrote last
    cluster_created     timestamptz,     -- creationTimestamp of the ksvc that we saw last,
    cluster_version     bigint not null default 0, -- and its resourceVersion
    attempts            integer not null default 0,
    next_attempt_at     timestamptz not null default now() + interval '30 seconds',
    updated_by          text not null default '',
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    constraint services_name_key unique (name),
    constraint services_status_check check (status in ('pending', 'ready', 'failed', 'deleting'))
);

create index services_org on services (org_id, created_at);
create index services_unconverged on services (next_attempt_at) where status in ('pending', 'deleting');

-- A service that is gone. Its name stays its organisation's for 30 days, its generations go on
-- where they ended (so that no revision name comes twice), and an object in the cluster that
-- carries its id may be deleted.
create table tombstones (
    service_id uuid primary key,
    org_id     uuid not null,
    name       text not null,
    generation bigint not null,
    deleted_at timestamptz not null default now()
);

create index tombstones_name on tombstones (name);
