"""The platform's own functions, as services of an organisation that only reads them."""

from collections.abc import Sequence

from maxcloud import keys, system
from maxcloud_cli.platform import jobs, kept, plan, secrets
from maxcloud_cli.platform.cluster import Cluster
from maxcloud_cli.platform.errors import JobFailed, NotInstalled
from maxcloud_cli.platform.parts import Object, is_one_of


def adopt(cluster: Cluster, wanted: Sequence[Object]) -> str:
    """Let the organisation have the key that the cluster keeps, and a row for each function.

    The key itself goes nowhere: what proves it is enough. The rows are written by `status`, as it
    follows all that becomes of a service. Returns what came of it in words: going back to an image
    that knows nothing of it is no failure. Raises NotInstalled.
    """
    key = kept.value(cluster, secrets.SYSTEM_KEY, "api-key")
    prefix = keys.prefix_of(key)
    if prefix is None:
        raise NotInstalled(
            f"what Secret {secrets.SYSTEM_KEY} holds is no API key: delete it and install again"
        )
    # The first one signs; the others are on their way out.
    secret = kept.value(cluster, "platform", "secret-key").partition(",")[0]
    names = [each["metadata"]["name"] for each in wanted if is_one_of(each, [plan.FUNCTION])]
    functions = filter(system.is_function, names)
    try:
        jobs.ask(cluster, "adopt", prefix, keys.digest(key, secret).hex(), *functions)
    except JobFailed as error:
        return f"its own services are left as they are: {error}"
    return "its own services"
