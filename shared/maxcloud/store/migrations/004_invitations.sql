create table invitations (
    id           uuid primary key default gen_random_uuid(),
    org_id       uuid not null references organizations on delete cascade,
    email        text not null,
    role         text not null
        constraint invitations_role_check check (role in ('admin', 'member')),
    status       text not null default 'pending'
        constraint invitations_status_check
        check (status in ('pending', 'accepted', 'expired', 'revoked')),
    invited_by   uuid references users on delete set null,
    mail_sent_at timestamptz,
    mail_error   text,
    expires_at   timestamptz not null,
    created_at   timestamptz not null default now()
);

create unique index invitations_pending_key on invitations (org_id, lower(email))
    where status = 'pending';

call protect_tenant_table('invitations');
