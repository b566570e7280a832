create table images (
    id         uuid primary key default gen_random_uuid(),
    org_id     uuid not null references organizations on delete cascade,
    name       text not null,
    tag        text not null,
    digest     text not null,
    size_bytes bigint not null,
    created_at timestamptz not null default now(),
    constraint images_tag_key unique (org_id, name, tag)
);

call protect_tenant_table('images');
