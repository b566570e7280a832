-- begin_anew --
-- Knative numbers the revisions of an object that was made anew from 1 again.
delete from services
where org_id = %(org_id)s and id = %(id)s and cluster_created <> %(made_at)s

-- keep --
insert into services as kept (
    id, org_id, name, image, digest, port, command, args, min_scale, max_scale, concurrency, cpu,
    memory, timeout_seconds, traffic, status, reason, message, generation, observed_generation,
    latest_revision, ready_revision, cluster_created, cluster_version, updated_by, created_at,
    -- No sweep may claim it: there is nothing to write to the cluster.
    next_attempt_at
)
values (
    %(id)s, %(org_id)s, %(name)s, %(image)s, %(digest)s, %(port)s, %(command)s, %(args)s,
    %(min_scale)s, %(max_scale)s, %(concurrency)s, %(cpu)s, %(memory)s, %(timeout_seconds)s,
    %(traffic)s, %(status)s, %(reason)s, %(message)s, %(generation)s, %(observed_generation)s,
    %(latest_revision)s, %(ready_revision)s, %(made_at)s, %(version)s, %(by)s, %(made_at)s,
    '9999-01-01'
)
on conflict (id) do update set
    image = excluded.image, digest = excluded.digest, port = excluded.port,
    command = excluded.command, args = excluded.args, min_scale = excluded.min_scale,
    max_scale = excluded.max_scale, concurrency = excluded.concurrency, cpu = excluded.cpu,
    memory = excluded.memory, timeout_seconds = excluded.timeout_seconds,
    traffic = excluded.traffic, status = excluded.status, reason = excluded.reason,
    message = excluded.message, generation = excluded.generation,
    observed_generation = greatest(kept.observed_generation, excluded.observed_generation),
    latest_revision = excluded.latest_revision, ready_revision = excluded.ready_revision,
    cluster_version = excluded.cluster_version, updated_at = now()
-- Of one version only an end may follow, and what waits or has settled does not begin to wait again.
where (
        kept.cluster_version < excluded.cluster_version
        or (kept.cluster_version = excluded.cluster_version and kept.status = 'pending')
    )
    and not (
        excluded.status = 'pending'
        and excluded.generation = kept.generation
        and (kept.status = 'pending' or kept.observed_generation = kept.generation)
    )
returning *

-- add_revision --
insert into revisions (
    org_id, service_id, generation, name, image, digest, template, created_by, created_at, ready_at
)
values (
    %(org_id)s, %(id)s, %(generation)s, %(name)s, %(image)s, %(digest)s, %(template)s,
    %(by)s, %(created_at)s, case when %(is_ready)s then now() end
)
on conflict on constraint revisions_generation_key do update set ready_at = excluded.ready_at
where revisions.ready_at is null and excluded.ready_at is not null

-- forget --
delete from services where org_id = %(org_id)s and id = %(id)s

-- keep_key --
insert into api_keys (org_id, user_id, prefix, digest, name, role)
values (%(org_id)s, %(user_id)s, %(prefix)s, %(digest)s, 'of the installation', 'read')
on conflict (prefix) do update set digest = excluded.digest
where api_keys.org_id = excluded.org_id and api_keys.digest <> excluded.digest

-- revoke_others --
delete from api_keys where org_id = %(org_id)s and prefix <> %(prefix)s
