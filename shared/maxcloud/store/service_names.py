"""Names of services: each is given once over the platform, and beside what Knative names itself."""

from uuid import UUID

from psycopg import AsyncConnection

from maxcloud.errors import NameTaken
from maxcloud.store.database import statements

_SQL = statements("service_names")


async def lock(connection: AsyncConnection, name: str) -> None:
    """Let nobody else give this name, or give it back, until the transaction ends.

    Without it a name that is given back at this moment is taken before its tombstone is seen.
    """
    await connection.execute(_SQL["lock_across_tenants"], {"name": name})


async def require_no_revisions(connection: AsyncConnection, org_id: UUID, name: str) -> None:
    """Raise NameTaken for the name of a revision of another service, and the other way round.

    Knative calls a Kubernetes Service after each service and one after each revision: of shop and
    shop-00002, the one that came later would never get ready. Six digits are left to the users: no
    service has a hundred thousand revisions, many have a date in their name.
    """
    values = {"org_id": org_id, "name": name}
    cursor = await connection.execute(_SQL["named_as_a_revision"], values)
    if found := await cursor.fetchone():
        shorter, longer = sorted([found[0], name], key=len)
        said = f"{longer} is the name of a revision of {shorter}: choose another name"
        raise NameTaken(said, field="name")
