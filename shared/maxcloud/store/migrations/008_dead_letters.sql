-- Events that no handler would take, for an operator to read. No tenant sees them.
create table dead_letters (
    id          uuid primary key default gen_random_uuid(),
    event_id    text not null,
    source      text not null,
    type        text not null,
    subject     text,
    destination text not null,  -- who refused it
    code        integer,        -- with which HTTP status
    headers     jsonb not null,
    body        text not null,
    received_at timestamptz not null default now(),
    constraint dead_letters_event_key unique (source, event_id, destination)
);

grant select, insert, delete on dead_letters to mc_worker;
