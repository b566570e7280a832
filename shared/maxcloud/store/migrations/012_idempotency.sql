-- What a request with an Idempotency-Key answered, written in the transaction that did its work.
create table idempotency_keys (
    org_id     uuid not null references organizations on delete cascade,
    route      text not null,
    key        text not null,
    digest     bytea not null,  -- SHA-256 of the path and the body
    status     integer not null,
    headers    jsonb not null,
    body       bytea,           -- null: it holds a secret, which is shown once and never kept
    expires_at timestamptz not null default now() + interval '24 hours',
    primary key (org_id, route, key)
);

create index idempotency_keys_expired on idempotency_keys (expires_at);

call protect_tenant_table('idempotency_keys');
