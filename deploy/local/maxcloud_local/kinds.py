"""Which kinds of objects the engine keeps: deploy/base, eventing/, and what they become."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One resource of the API; `group` is empty for Kubernetes' core."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """What stands in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False, short=("ns",))
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", short=("cm",))
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", short=("sa",))
CORE_SERVICE = Kind("", "v1", "Service", "services", short=("svc",))
POD = Kind("", "v1", "Pod", "pods", short=("po",))

LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges", short=("limits",))
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", short=("quota",))
NETWORK_POLICY = Kind(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", short=("netpol",)
)

ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False)
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False
)

ADMISSION_POLICY = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    False,
)
ADMISSION_POLICY_BINDING = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    False,
)

SERVICE = Kind("serving.knative.dev", "v1", "Service", "services", short=("ksvc", "kservice"))
REVISION = Kind("serving.knative.dev", "v1", "Revision", "revisions", short=("rev",))
INGRESS = Kind(
    "networking.internal.knative.dev", "v1alpha1", "Ingress", "ingresses", short=("kingress",)
)

BROKER = Kind("eventing.knative.dev", "v1", "Broker", "brokers")
TRIGGER = Kind("eventing.knative.dev", "v1", "Trigger", "triggers")
EVENT_TYPE = Kind("eventing.knative.dev", "v1beta2", "EventType", "eventtypes")
PING_SOURCE = Kind("sources.knative.dev", "v1", "PingSource", "pingsources")
API_SERVER_SOURCE = Kind("sources.knative.dev", "v1", "ApiServerSource", "apiserversources")

# On everything that becomes of a Knative Service: its name.
SERVICE_LABEL = "serving.knative.dev/service"

KINDS = (
    *(NAMESPACE, SECRET, CONFIG_MAP, SERVICE_ACCOUNT, CORE_SERVICE, POD),
    *(LIMIT_RANGE, RESOURCE_QUOTA, NETWORK_POLICY),
    *(ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING),
    *(ADMISSION_POLICY, ADMISSION_POLICY_BINDING),
    *(SERVICE, REVISION, INGRESS),
    *(BROKER, TRIGGER, EVENT_TYPE, PING_SOURCE, API_SERVER_SOURCE),
)


def kind_of(api_version: str, name: str) -> Kind | None:
    """Return the kind that an object's `apiVersion` and `kind` name, or None."""
    return next((k for k in KINDS if (k.api_version, k.name) == (api_version, name)), None)
