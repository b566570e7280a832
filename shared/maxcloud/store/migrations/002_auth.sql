create table organizations (
    id         uuid primary key default gen_random_uuid(),
    name       text not null,
    cell       text not null default 'main',  -- which cluster the organisation lives in
    created_at timestamptz not null default now()
);

create table users (
    id          uuid primary key default gen_random_uuid(),
    email       text not null,
    verified_at timestamptz,
    created_at  timestamptz not null default now()
);

create unique index users_email_key on users (lower(email));

create table memberships (
    org_id     uuid not null references organizations on delete cascade,
    user_id    uuid not null references users on delete cascade,
    role       text not null constraint memberships_role_check check (role in ('admin', 'member')),
    created_at timestamptz not null default now(),
    primary key (org_id, user_id)
);

-- The key itself is never kept: its public prefix finds the row, its HMAC proves it.
create table api_keys (
    id           uuid primary key default gen_random_uuid(),
    org_id       uuid not null,
    user_id      uuid not null,
    prefix       text not null constraint api_keys_prefix_key unique,
    digest       bytea not null,
    name         text not null,
    role         text not null
        constraint api_keys_role_check check (role in ('admin', 'member', 'deploy', 'read')),
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    foreign key (org_id, user_id) references memberships on delete cascade
);

alter table services add constraint services_org_id_fkey
    foreign key (org_id) references organizations on delete restrict;
