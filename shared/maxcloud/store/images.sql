-- lock --
select pg_advisory_xact_lock(hashtextextended(%(org_id)s::text || '/' || %(name)s, 0))

-- find --
select * from images where org_id = %(org_id)s and name = %(name)s and tag = %(tag)s

-- put --
insert into images (org_id, name, tag, digest, size_bytes, created_at)
select %(org_id)s, %(name)s, %(tag)s, %(digest)s, %(size_bytes)s, coalesce(
    -- A build is as old as its first push, whichever tags come and go.
    (
        select min(created_at) from images
        where org_id = %(org_id)s and name = %(name)s and digest = %(digest)s
    ),
    now()
)
from organizations where id = %(org_id)s
on conflict on constraint images_tag_key do update set
    digest = excluded.digest, size_bytes = excluded.size_bytes, created_at = excluded.created_at,
    generation = images.generation + 1
where images.digest <> excluded.digest
returning *

-- remove --
delete from images where org_id = %(org_id)s and name = %(name)s and tag = %(tag)s

-- others_of_build --
select tag from images
where org_id = %(org_id)s and name = %(name)s and digest = %(digest)s and tag <> %(tag)s

-- tags --
select tag, digest from images where org_id = %(org_id)s and name = %(name)s

-- builds --
select * from (
    select
        name, digest, array_agg(tag order by tag) as tags, max(size_bytes) as size_bytes,
        min(created_at) as created_at
    from images
    where org_id = %(org_id)s
    group by name, digest
) as builds
where %(name)s::text is null
    or name > %(name)s
    or (name = %(name)s and (created_at, digest) < (%(created_at)s, %(digest)s))
order by name, created_at desc, digest desc
limit %(most)s

-- serving --
-- Whatever requests reach, or are about to: these revisions must stay as they are.
select r.name from revisions r
    join services s on s.org_id = r.org_id and s.id = r.service_id
where r.org_id = %(org_id)s and r.template ->> 'image' = %(reference)s
    and (
        r.name in (s.latest_revision, s.ready_revision)
        or s.traffic @> jsonb_build_array(jsonb_build_object('revision', r.name))
    )
order by r.name

-- repository_serves --
select 1 from revisions r
    join services s on s.org_id = r.org_id and s.id = r.service_id
where r.org_id = %(org_id)s and starts_with(r.template ->> 'image', %(repository)s || '@')
    and (
        r.name in (s.latest_revision, s.ready_revision)
        or s.traffic @> jsonb_build_array(jsonb_build_object('revision', r.name))
    )
limit 1

-- unkept_across_tenants --
select org_id, id, name, template ->> 'image' as image from revisions
where kept_at is null and starts_with(template ->> 'image', %(host)s || '/')
order by created_at
limit %(most)s

-- kept --
update revisions set kept_at = now() where org_id = %(org_id)s and id = %(id)s

-- forgotten --
select t.name from tombstones t
where t.org_id = %(org_id)s and t.name = any(%(services)s)
    and not exists (select from services s where s.org_id = t.org_id and s.name = t.name)

-- position_across_tenants --
select position from sweep_positions where sweep = 'registry'

-- move_across_tenants --
insert into sweep_positions (sweep, position) values ('registry', %(position)s)
on conflict (sweep) do update set position = excluded.position
