-- lock_invitation --
select
    invitations.*, organizations.name as org_name, coalesce(users.email, '') as inviter
from invitations
    join organizations on organizations.id = invitations.org_id
    left join users on users.id = invitations.invited_by
where invitations.org_id = %(org_id)s and invitations.id = %(id)s
    and invitations.status = 'pending' and invitations.expires_at > now()
    and invitations.mail_sent_at is null and invitations.mail_error is null
for update of invitations skip locked

-- invitation_sent --
update invitations set mail_sent_at = now() where org_id = %(org_id)s and id = %(id)s

-- invitation_failed --
update invitations set mail_error = %(reason)s where org_id = %(org_id)s and id = %(id)s

-- lock_registration --
select
    memberships.user_id, memberships.org_id, users.email, organizations.name as org_name,
    date_trunc('second', memberships.created_at) as created_at
from memberships
    join organizations on organizations.id = memberships.org_id
    join users on users.id = memberships.user_id
where memberships.org_id = %(org_id)s and memberships.user_id = %(id)s
    and memberships.verified_at is null
    and memberships.created_at > now() - make_interval(days => %(proof_days)s)
    and memberships.mail_sent_at is null and memberships.mail_error is null
for update of memberships skip locked

-- registration_sent --
update memberships set mail_sent_at = now() where org_id = %(org_id)s and user_id = %(id)s

-- registration_failed --
update memberships set mail_error = %(reason)s where org_id = %(org_id)s and user_id = %(id)s

-- unsent_invitations_across_tenants --
-- In any order: what no server takes must not stand before the others for ever.
select org_id, id from invitations
where status = 'pending' and expires_at > now() and mail_sent_at is null and mail_error is null
order by random() limit %(most)s

-- unsent_registrations_across_tenants --
select org_id, user_id as id from memberships
where verified_at is null and mail_sent_at is null and mail_error is null
    and created_at > now() - make_interval(days => %(proof_days)s)
order by random() limit %(most)s
