-- An address is proven for one membership, not once for a person: whoever registers with somebody
-- else's address must not be let in by a proof that its owner gives another organisation.
alter table memberships
    add column verified_at  timestamptz,
    add column mail_sent_at timestamptz,  -- the outbox of the mail that asks for the proof
    add column mail_error   text;
update memberships set verified_at = created_at;
alter table users drop column verified_at;

create index memberships_unmailed on memberships (created_at)
    where verified_at is null and mail_sent_at is null and mail_error is null;
create index invitations_unmailed on invitations (created_at)
    where status = 'pending' and mail_sent_at is null and mail_error is null;

create unique index organizations_name_key on organizations (lower(name));

-- The API sees the people of one organisation; their addresses are nobody else's business.
alter table users enable row level security;
alter table users force row level security;
create policy tenant on users for select
    using (exists (select from memberships where memberships.user_id = users.id));
create policy registration on users for insert with check (true);
create policy worker on users for select to mc_worker using (true);
create policy lookup on users to mc_lookup using (true) with check (true);
revoke update on users from mc_api;
grant insert, update on users to mc_lookup;

-- How often something was tried since `opened_at`; of no use after `closes_at`.
create unlogged table rate_limits (
    bucket    text primary key,
    attempts  integer not null,
    closes_at timestamptz not null
);
create index rate_limits_closes_at on rate_limits (closes_at);
grant select, insert, update on rate_limits to mc_lookup;
grant select, delete on rate_limits to mc_worker;

-- What comes before the tenant is known. pg_temp stands last, so that no temporary table of the
-- caller's takes the place of ours.
alter function name_is_free(text, uuid) set search_path = pg_catalog, public, pg_temp;

-- The key that begins with a prefix, and whose it is; the caller proves it by its digest.
create function key_owner(wanted text)
    returns table (
        id uuid, org_id uuid, user_id uuid, email text, digest bytea, role text, membership text,
        is_verified boolean, is_expired boolean, was_used_lately boolean
    )
    language sql stable security definer set search_path = pg_catalog, public, pg_temp as
$$
    select
        k.id, k.org_id, k.user_id, u.email, k.digest, k.role, m.role,
        m.verified_at is not null,
        coalesce(k.expires_at <= now(), false),
        coalesce(k.last_used_at > now() - interval '1 minute', false)
    from api_keys k
        join memberships m on m.org_id = k.org_id and m.user_id = k.user_id
        join users u on u.id = k.user_id
    where k.prefix = wanted
$$;

-- The person of an address, made where there is none yet.
create function user_of_address(address text) returns uuid
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as
$$
    insert into users (email) values (address)
    on conflict (lower(email)) do update set email = users.email
    returning id
$$;

-- Counts one attempt and returns for how many seconds there must be no more: 0 while there were
-- at most `most` in `seconds`.
create function count_attempt(wanted text, most integer, seconds integer) returns integer
    language sql volatile security definer set search_path = pg_catalog, public, pg_temp as
$$
    insert into rate_limits as r (bucket, attempts, closes_at)
    values (wanted, 1, now() + make_interval(secs => seconds))
    on conflict (bucket) do update set
        attempts = case when r.closes_at <= now() then 1 else least(r.attempts, most) + 1 end,
        closes_at =
            case when r.closes_at <= now() then excluded.closes_at else r.closes_at end
    returning case
        when attempts <= most then 0
        else greatest(1, ceil(extract(epoch from closes_at - now()))::integer)
    end
$$;

grant create on schema public to mc_lookup;
alter function key_owner(text) owner to mc_lookup;
alter function user_of_address(text) owner to mc_lookup;
alter function count_attempt(text, integer, integer) owner to mc_lookup;
revoke create on schema public from mc_lookup;
revoke execute on function key_owner(text) from public;
revoke execute on function user_of_address(text) from public;
revoke execute on function count_attempt(text, integer, integer) from public;
grant execute on function key_owner(text) to mc_api;
grant execute on function user_of_address(text) to mc_api;
grant execute on function count_attempt(text, integer, integer) to mc_api;
