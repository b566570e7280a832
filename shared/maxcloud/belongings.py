"""What an organisation has in the cluster beside its services: its namespace, and what is in it."""

import time
from uuid import UUID

from maxcloud import registry, system
from maxcloud.config import DEV_ORG_ID, Config
from maxcloud.knative import isolation
from maxcloud.knative.objects import Manifest


def belongings(config: Config, org_id: UUID) -> list[Manifest]:
    """Return all of it, in order of creation.

    DEV_MODE's namespace is the developer's own, and left as it is; that of the platform is an
    installation's.
    """
    if org_id == system.ORG_ID:
        return []
    pulls = pull_secret(config, org_id)
    if org_id == DEV_ORG_ID:
        return pulls
    return [*isolation.objects(org_id, config.namespace_of(org_id)), *pulls]


def pull_secret(config: Config, org_id: UUID) -> list[Manifest]:
    """Return what its nodes pull from our registry with; none where there is no registry."""
    if not config.registry_secrets:
        return []
    key = registry.pull_key(org_id, config.registry_secrets[0], int(time.time()))
    namespace = config.namespace_of(org_id)
    return [isolation.pull_secret(org_id, namespace, config.registry_url, registry.ROBOT, key)]
