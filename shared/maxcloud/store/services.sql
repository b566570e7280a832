-- create --
insert into services (
    org_id, name, image, port, command, args, env_vars, min_scale, max_scale, concurrency, cpu,
    memory, timeout_seconds, updated_by, generation
)
select
    %(org_id)s, %(name)s, %(image)s, %(port)s, %(command)s, %(args)s, %(env_vars)s, %(min_scale)s,
    %(max_scale)s, %(concurrency)s, %(cpu)s, %(memory)s, %(timeout_seconds)s, %(updated_by)s,
    -- A name that comes back goes on counting, so that no revision name comes twice.
    1 + coalesce(
        (select max(generation) from tombstones where org_id = %(org_id)s and name = %(name)s), 0
    )
where name_is_free(%(name)s, %(org_id)s)
on conflict (name) do nothing
returning *

-- all_of_organisation --
select * from services
where org_id = %(org_id)s and name > coalesce(%(after)s, '')
order by name
limit %(most)s

-- find --
select * from services
where org_id = %(org_id)s and (id = %(id)s::uuid or name = %(name)s)

-- find_and_lock --
select * from services
where org_id = %(org_id)s and (id = %(id)s::uuid or name = %(name)s)
for update

-- update --
update services
set image = %(image)s,
    digest = case when %(resolve)s then null else digest end,
    exposed_port = case when %(resolve)s then null else exposed_port end,
    image_refused = image_refused and not %(resolve)s,
    port = %(port)s, command = %(command)s, args = %(args)s, env_vars = %(env_vars)s,
    min_scale = %(min_scale)s, max_scale = %(max_scale)s, concurrency = %(concurrency)s,
    cpu = %(cpu)s, memory = %(memory)s, timeout_seconds = %(timeout_seconds)s,
    traffic = %(traffic)s,
    generation = generation + 1, status = 'pending', reason = 'Accepted', message = '',
    attempts = 0, next_attempt_at = now() + interval '30 seconds',
    updated_by = %(updated_by)s, updated_at = now()
where org_id = %(org_id)s and id = %(id)s
returning *

-- mark_deleting --
update services
set status = 'deleting', reason = '', message = '', generation = generation + 1,
    attempts = 0, next_attempt_at = now() + interval '30 seconds',
    updated_by = %(updated_by)s, updated_at = now()
where org_id = %(org_id)s and id = %(id)s and status <> 'deleting'
returning *

-- revision_names --
select name from revisions
where org_id = %(org_id)s and service_id = %(id)s and name = any(%(names)s)
