-- exists --
select 1 from organizations where id = %(org_id)s

-- all_across_tenants --
select id from organizations
