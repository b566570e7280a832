-- look_up_across_tenants --
select * from key_owner(%(prefix)s)

-- touch --
update api_keys set last_used_at = now()
where org_id = %(org_id)s and id = %(id)s
    and (last_used_at is null or last_used_at < now() - interval '1 minute')

-- add --
insert into api_keys (org_id, user_id, prefix, digest, name, role, expires_at)
values (
    %(org_id)s, %(user_id)s, %(prefix)s, %(digest)s, %(name)s, %(role)s,
    now() + make_interval(days => %(days)s)
)
returning *

-- visible --
select * from api_keys
where org_id = %(org_id)s and (user_id = %(user_id)s or %(all)s)
    and (created_at, id) > (
        coalesce(%(after)s::timestamptz, '-infinity'),
        coalesce(%(after_id)s::uuid, '00000000-0000-0000-0000-000000000000')
    )
order by created_at, id
limit %(most)s

-- lock_all --
select id from organizations where id = %(org_id)s for update

-- other_admin_keys --
select count(*) from api_keys
    join memberships using (org_id, user_id)
where api_keys.org_id = %(org_id)s and api_keys.id <> %(id)s
    and api_keys.role = 'admin' and memberships.role = 'admin'
    and (expires_at is null or expires_at > now())

-- find --
select * from api_keys
where org_id = %(org_id)s and id = %(id)s and (user_id = %(user_id)s or %(all)s)

-- remove --
delete from api_keys where org_id = %(org_id)s and id = %(id)s
