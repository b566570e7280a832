-- load --
select * from services where org_id = %(org_id)s and id = %(id)s

-- image_resolved --
update services
set digest = %(digest)s, exposed_port = %(exposed_port)s, reason = 'ImageResolved',
    message = %(message)s, updated_at = now()
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status = 'pending'
    -- The first answer counts: a tag that moves between two handlers gives one revision, not two.
    and digest is null
returning *

-- revision_chosen --
update services
set latest_revision = %(revision)s
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status <> 'deleting'
returning *

-- applied --
update services
set cluster_generation = %(cluster_generation)s,
    -- No clock orders the reports of two objects: it may have been set back in between.
    cluster_version = case
        when cluster_created is distinct from %(cluster_created)s then 0 else cluster_version
    end,
    cluster_created = %(cluster_created)s,
    -- `status` may have seen the object already: never take its word back.
    reason = case when reason in ('Accepted', 'ImageResolved') then 'RevisionCreated' else reason end,
    message = case when reason in ('Accepted', 'ImageResolved') then '' else message end
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status <> 'deleting'
returning *

-- delayed --
update services
set message = %(message)s
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status = 'pending'
returning *

-- failed --
update services
set status = 'failed', reason = %(reason)s, message = %(message)s,
    image_refused = image_refused or %(image_refused)s, observed_generation = generation, updated_at = now()
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status = 'pending'
returning *

-- observed --
update services
set status = %(status)s, reason = %(reason)s, message = %(message)s,
    observed_generation =
        case when %(status)s in ('ready', 'failed') then generation else observed_generation end,
    -- An object that was made anew has none yet: then the last one known is to come back.
    ready_revision = coalesce(%(ready_revision)s, ready_revision),
    cluster_created = %(cluster_created)s, cluster_version = %(cluster_version)s, updated_at = now()
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status <> 'deleting'
    and coalesce(cluster_created, %(cluster_created)s) = %(cluster_created)s
    -- Of one version, only an end may follow: the pods can tell more than the object.
    and (
        cluster_version < %(cluster_version)s
        or (cluster_version = %(cluster_version)s and status = 'pending')
    )
returning *

-- lost --
update services
set status = 'pending', reason = 'RestoringRevision', message = %(message)s,
    observed_generation = generation - 1, attempts = 0,
    next_attempt_at = now() + interval '30 seconds', updated_at = now()
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status <> 'deleting'
    and observed_generation = generation and cluster_generation is not null
    -- What was given up for its image is still so; the sweep brings back what ran before.
    and not (image_refused and status = 'failed')
returning *

-- overtake --
update services
set generation = %(beyond)s + 1, status = 'pending', reason = 'Accepted', message = '',
    attempts = 0, next_attempt_at = now() + interval '30 seconds', updated_at = now()
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s and status <> 'deleting'
    and generation < %(beyond)s
returning *

-- serving_observed --
update services
set ready_revision = coalesce(%(ready_revision)s, ready_revision),
    cluster_created = %(cluster_created)s, cluster_version = %(cluster_version)s
where org_id = %(org_id)s and id = %(id)s and generation = %(generation)s
    and coalesce(cluster_created, %(cluster_created)s) = %(cluster_created)s
    and cluster_version < %(cluster_version)s
returning *

-- remove --
with gone as (
    delete from services
    where org_id = %(org_id)s and id = %(id)s and status = 'deleting'
    returning *
)
insert into tombstones (service_id, org_id, name, generation)
select id, org_id, name, generation from gone
returning *

-- tombstone --
select name from tombstones where org_id = %(org_id)s and service_id = %(id)s

-- named_across_tenants --
select * from services where name = %(name)s

-- claim_unconverged_across_tenants --
update services
set attempts = attempts + 1,
    -- Less than the ten minutes between two sweeps of a cluster: however long what it needs was
    -- away, the next sweep after that finds it.
    next_attempt_at = now() + least(interval '1 minute' * 2 ^ least(attempts, 10), interval '9 minutes')
where id in (
    select id from services
    where status in ('pending', 'deleting') and next_attempt_at <= now()
    order by next_attempt_at
    limit %(most)s
    for update skip locked
)
returning *

-- give_back_across_tenants --
update services set attempts = greatest(attempts - 1, 0), next_attempt_at = now()
where id = any(%(ids)s) and status in ('pending', 'deleting')

-- waiting_across_tenants --
select id, org_id, name, status, reason, message, attempts, updated_at
from services
where status in ('pending', 'deleting')
order by updated_at
limit %(most)s

-- everything_across_tenants --
select
    id, org_id, name, generation, cluster_generation, cluster_version,
    status <> 'deleting' and observed_generation = generation as is_settled
from services

-- tombstones_across_tenants --
select service_id from tombstones where service_id = any(%(ids)s)
