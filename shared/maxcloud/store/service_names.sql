-- lock_across_tenants --
select pg_advisory_xact_lock(hashtextextended('services ' || %(name)s, 0))

-- named_as_a_revision --
select name from services
where org_id = %(org_id)s and (
    name = substring(%(name)s from '^(.*)-[0-9]{5}$')
    or (name like %(name)s || '-%%' and name ~ ('^' || %(name)s || '-[0-9]{5}$'))
)
limit 1
