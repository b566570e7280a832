-- lock_all --
select id from organizations where id = %(org_id)s for update

-- is_member --
select 1 from memberships
    join users on users.id = memberships.user_id
where memberships.org_id = %(org_id)s and lower(users.email) = lower(%(email)s)

-- take_back_earlier --
update invitations
set status = case when expires_at <= now() then 'expired' else 'revoked' end
where org_id = %(org_id)s and status = 'pending' and lower(email) = lower(%(email)s)

-- add --
insert into invitations (org_id, email, role, invited_by, created_at, expires_at)
-- Whole seconds, as a token has them.
select %(org_id)s, %(email)s, %(role)s, %(invited_by)s, moment, moment + make_interval(days => %(days)s)
from date_trunc('second', now()) as moment
returning id

-- all_of_organisation --
select
    invitations.*, organizations.name as org_name, coalesce(users.email, '') as inviter
from invitations
    join organizations on organizations.id = invitations.org_id
    left join users on users.id = invitations.invited_by
where invitations.org_id = %(org_id)s
    and (invitations.created_at, invitations.id) < (
        coalesce(%(before)s::timestamptz, 'infinity'),
        coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
order by invitations.created_at desc, invitations.id desc
limit %(most)s

-- find --
select
    invitations.*, organizations.name as org_name, coalesce(users.email, '') as inviter
from invitations
    join organizations on organizations.id = invitations.org_id
    left join users on users.id = invitations.invited_by
where invitations.org_id = %(org_id)s and invitations.id = %(id)s

-- find_and_lock --
select * from invitations where org_id = %(org_id)s and id = %(id)s for update

-- settle --
update invitations set status = %(status)s where org_id = %(org_id)s and id = %(id)s

-- person_across_tenants --
select user_of_address(%(email)s)
