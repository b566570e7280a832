-- add_organisation --
insert into organizations (id, name) values (%(org_id)s, %(name)s) returning *

-- add_user_across_tenants --
insert into users (id, email) values (%(id)s, %(email)s)

-- add_membership --
insert into memberships (org_id, user_id, role, verified_at)
values (%(org_id)s, %(user_id)s, %(role)s, case when %(is_verified)s then now() end)

-- prove --
update memberships set verified_at = coalesce(verified_at, now())
where org_id = %(org_id)s and user_id = %(user_id)s
    and exists (select from users where id = %(user_id)s and email = %(email)s)

-- organisation --
select id, name, created_at from organizations where id = %(org_id)s

-- member --
select users.id, users.email, users.created_at from users
    join memberships on memberships.user_id = users.id
where memberships.org_id = %(org_id)s and users.id = %(user_id)s
