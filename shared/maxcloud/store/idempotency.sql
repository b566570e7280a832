-- wait_for_turn --
select pg_advisory_xact_lock(
    hashtextextended(%(org_id)s::text || ' ' || %(route)s || ' ' || %(key)s, 0)
)

-- find --
select digest, status, headers, body from idempotency_keys
where org_id = %(org_id)s and route = %(route)s and key = %(key)s and expires_at > now()

-- keep --
insert into idempotency_keys (org_id, route, key, digest, status, headers, body)
values (%(org_id)s, %(route)s, %(key)s, %(digest)s, %(status)s, %(headers)s, %(body)s)
-- What is there has expired, else it would have been found.
on conflict (org_id, route, key) do update
set digest = excluded.digest, status = excluded.status, headers = excluded.headers,
    body = excluded.body, expires_at = excluded.expires_at

-- forget_expired_across_tenants --
delete from idempotency_keys
where (org_id, route, key) in (
    select org_id, route, key from idempotency_keys
    where expires_at <= now()
    limit %(most)s
    for update skip locked
)
