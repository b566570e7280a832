"""What the platform stands on: Knative, charts, secrets, certificate, database, in this order.

Everything is applied, so a second time changes nothing, and a new version upgrades.
"""

import base64
import json
from collections.abc import Callable, Mapping

from maxcloud_hetzner import manifests, secrets
from maxcloud_hetzner.errors import BadSetting, ProgramFailed
from maxcloud_hetzner.manifests import DEPLOY, HETZNER
from maxcloud_hetzner.programs import SERVER_SIDE, Kubectl

Show = Callable[[str], None]

_WITHIN = "--timeout=600s"
_READY = ("--for=condition=Ready", _WITHIN)

KNATIVE = ("knative-serving", "kourier-system", "knative-eventing")
CHARTS = ("cert-manager", "external-dns", "cnpg-system")

# What the charts bring, as the custom objects need it.
KINDS = (
    "certificates.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "clusters.postgresql.cnpg.io",
    "objectstores.barmancloud.cnpg.io",
)


def install(kubectl: Kubectl, env: Mapping[str, str], show: Show, pause: float = 5) -> None:
    """Put everything into the cluster and wait until it is there.

    Raises BadSetting before the first change, for a variable that is missing or makes no sense.
    """
    known = manifests.values(env)
    charts = manifests.rendered(kubectl, HETZNER / "charts", known)
    settings = manifests.rendered(kubectl, HETZNER / "knative", known)
    certificate = manifests.rendered(kubectl, HETZNER / "certificate", known)
    database = manifests.rendered(kubectl, HETZNER / "database", known)
    needed = secrets.objects(
        env, lambda place, name: _known(kubectl, place, name), **_storage(known)
    )

    show("Knative's kinds")
    release = DEPLOY / "knative" / "release"
    kubectl.run("apply", *SERVER_SIDE, "-k", str(release / "crds"))
    kubectl.run("wait", "crd", "--all", "--for=condition=Established", _WITHIN)
    show("Knative")
    kubectl.run("apply", *SERVER_SIDE, "-k", str(release))
    kubectl.run("apply", *SERVER_SIDE, "-k", str(HETZNER / "release"))
    kubectl.apply(settings)
    show("certificates, names, events, database: their operators")
    kubectl.apply(charts)
    for namespace in ("mc-system", "mc-database"):
        kubectl.apply(json.dumps(_namespace(namespace)))
    kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": needed}))
    for kind in KINDS:
        kubectl.wait_for("crd", kind, pause)
    for namespace in (*KNATIVE, *CHARTS):
        show(f"wait for {namespace}")
        ready = "--for=condition=Available"
        kubectl.run("wait", "deployment", "--all", "-n", namespace, ready, _WITHIN)
    show("certificate for the zone")
    kubectl.apply(certificate)
    kubectl.run("wait", "certificate/wildcard", "-n", "kourier-system", *_READY)
    if not env.get("DATABASE_URL"):
        show("database")
        kubectl.apply(database)
        kubectl.run("wait", "cluster.postgresql.cnpg.io/database", "-n", "mc-database", *_READY)


def platform(kubectl: Kubectl, env: Mapping[str, str]) -> str:
    """Return the platform's manifests for this operator, for `maxcloud platform install`."""
    return manifests.rendered(kubectl, manifests.PRODUCTION, manifests.values(env))


def _storage(known: Mapping[str, str]) -> dict[str, str]:
    if "HETZNER_S3_BUCKET" not in known:
        raise BadSetting("HETZNER_S3_BUCKET is not set: make a bucket, and name it")
    return {"location": known["HETZNER_LOCATION"], "bucket": known["HETZNER_S3_BUCKET"]}


def _namespace(name: str) -> dict[str, object]:
    """Its labels and bounds are the platform's to say; Secrets need it before."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _known(kubectl: Kubectl, namespace: str, name: str) -> dict[str, str] | None:
    said = kubectl.run("get", "secret", name, "-n", namespace, "-o", "json", "--ignore-not-found")
    if not said:
        return None
    try:
        data = json.loads(said).get("data", {})
    except ValueError as error:
        raise ProgramFailed("kubectl", "it printed no JSON") from error
    return {key: base64.b64decode(value).decode() for key, value in data.items()}
