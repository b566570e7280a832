-- latest --
select * from revisions
where org_id = %(org_id)s and service_id = %(service_id)s
order by generation desc
limit 1

-- add --
insert into revisions (org_id, service_id, generation, name, image, digest, template, created_by)
select
    %(org_id)s, %(service_id)s, %(generation)s, %(name)s, %(image)s, %(digest)s, %(template)s,
    %(created_by)s
-- Neither of a service that is gone meanwhile, nor of a generation that is not the newest any more.
from services
where org_id = %(org_id)s and id = %(service_id)s and generation = %(generation)s
for key share
on conflict on constraint revisions_generation_key do update set name = revisions.name
returning *

-- of_service --
select * from revisions
where org_id = %(org_id)s and service_id = %(service_id)s
    and generation < coalesce(%(before)s, 9223372036854775807)
order by generation desc
limit %(most)s

-- named --
select * from revisions
where org_id = %(org_id)s and service_id = %(service_id)s and name = any(%(names)s)
order by generation

-- became_ready --
update revisions set ready_at = now()
where org_id = %(org_id)s and service_id = %(service_id)s and name = %(name)s and ready_at is null
