alter table services
    add column port         integer not null default 0,
    add column command      jsonb not null default '[]',
    add column args         jsonb not null default '[]',
    add column exposed_port integer;  -- the image's own EXPOSE, known once it is resolved
