import base64
import copy
import json
from uuid import UUID

import pytest

from maxcloud.knative import isolation
from maxcloud.knative.isolation import is_whole, key_of, objects, path_of, replacement
from maxcloud.knative.manifests import Occupied
from maxcloud.knative.objects import Manifest

ORG, OTHER, HOME = UUID(int=2), UUID(int=3), "mc-org-2"
NAMESPACE, ACCOUNT, LIMITS, QUOTA, POLICY, LOGS = objects(ORG, HOME)
SECRET = isolation.pull_secret(ORG, HOME, "registry.maxcloud.dev", "robot", "key")
ALL = [NAMESPACE, ACCOUNT, LIMITS, QUOTA, POLICY, LOGS, SECRET]


def test_a_namespace_lets_root_images_run_and_nothing_worse() -> None:
    assert {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": HOME,
            "labels": {
                "maxcloud.dev/managed": "true",
                "maxcloud.dev/org": str(ORG),
                "pod-security.kubernetes.io/enforce": "baseline",
            },
        },
    } == NAMESPACE


def test_its_account_gets_no_token() -> None:
    assert ACCOUNT["metadata"]["name"] == "default"
    assert ACCOUNT["automountServiceAccountToken"] is False


def test_it_is_bounded() -> None:
    assert QUOTA["spec"]["hard"]["services.loadbalancers"] == "0"
    assert QUOTA["spec"]["hard"]["services.nodeports"] == "0"
    assert {"pods", "requests.cpu", "requests.memory"} <= set(QUOTA["spec"]["hard"])
    # With a quota, a container without requests would be refused.
    assert set(LIMITS["spec"]["limits"][0]["defaultRequest"]) == {"cpu", "memory"}


def test_what_reaches_it_is_knatives_data_path() -> None:
    assert POLICY["spec"]["podSelector"] == {}
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    sources = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in POLICY["spec"]["ingress"]
        for peer in rule["from"]
        for port in rule["ports"]
    }
    assert sources == {
        *(("knative-serving", port) for port in (8012, 8013, 8112, 9090)),
        *(("kourier-system", port) for port in (8012, 8013, 8112)),
        ("monitoring", 9091),
    }


def test_what_it_reaches_is_names_public_urls_and_the_internet() -> None:
    names, gateway, internet = POLICY["spec"]["egress"]
    assert [port["port"] for port in names["ports"]] == [53, 53]
    # Not 8081: there the gateway answers to the internal names of everybody's services.
    assert [port["port"] for port in gateway["ports"]] == [8080, 8443]
    kept_out = {net for to in internet["to"] for net in to["ipBlock"]["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= kept_out


def test_its_logs_can_be_read_by_the_one_function() -> None:
    assert LOGS["roleRef"]["name"] == LOGS["metadata"]["name"] == "mc-logs"
    assert LOGS["subjects"] == [
        {"kind": "ServiceAccount", "name": "logs", "namespace": "mc-system"}
    ]


def test_its_nodes_pull_with_a_secret_that_docker_and_the_kubelet_read() -> None:
    assert (SECRET["type"], SECRET["metadata"]["namespace"]) == (
        "kubernetes.io/dockerconfigjson",
        HOME,
    )
    [(host, auth)] = json.loads(base64.b64decode(SECRET["data"][".dockerconfigjson"]))[
        "auths"
    ].items()
    assert host == "registry.maxcloud.dev"
    assert (auth["username"], auth["password"]) == ("robot", "key")
    assert base64.b64decode(auth["auth"]) == b"robot:key"


def test_each_object_has_a_path() -> None:
    assert path_of(NAMESPACE) == ("/api/v1/namespaces", f"/api/v1/namespaces/{HOME}")
    there = f"/apis/networking.k8s.io/v1/namespaces/{HOME}/networkpolicies"
    assert path_of(POLICY) == (there, f"{there}/maxcloud")
    assert [each["kind"] for each in ALL] == list(isolation.RESOURCES)
    assert POLICY["apiVersion"] == "networking.k8s.io/v1"


def as_lives(wanted: Manifest) -> Manifest:
    """The object as the cluster keeps it, with what others have added."""
    live = copy.deepcopy(wanted)
    live["metadata"] |= {"resourceVersion": "7", "uid": "u", "managedFields": [{}]}
    live["metadata"]["labels"]["kubernetes.io/metadata.name"] = HOME
    live["status"] = {"phase": "Active"}
    return live


@pytest.mark.parametrize("wanted", ALL, ids=lambda each: str(each["kind"]))
def test_what_is_as_it_should_be_is_left_alone(wanted: Manifest) -> None:
    assert replacement(as_lives(wanted), wanted) is None


def test_what_was_changed_is_put_back_and_what_was_added_stays() -> None:
    live = as_lives(QUOTA)
    live["spec"]["hard"]["pods"] = "100000"
    live["metadata"]["labels"].pop("maxcloud.dev/managed")
    changed = replacement(live, QUOTA)
    assert changed is not None
    assert changed["spec"] == QUOTA["spec"]
    assert changed["metadata"]["resourceVersion"] == "7"
    assert "managedFields" not in changed["metadata"]
    assert changed["metadata"]["labels"] == as_lives(QUOTA)["metadata"]["labels"]


def test_the_account_that_the_cluster_makes_is_taken_over() -> None:
    live = {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": HOME}}
    changed = replacement(live, ACCOUNT)
    assert changed is not None
    assert changed["automountServiceAccountToken"] is False


@pytest.mark.parametrize("labels", [{}, {"maxcloud.dev/org": str(OTHER)}])
def test_a_namespace_that_is_not_ours_is_left_alone(labels: dict[str, str]) -> None:
    live = {"kind": "Namespace", "metadata": {"name": HOME, "labels": labels}}
    with pytest.raises(Occupied, match="another namespace"):
        replacement(live, NAMESPACE)


def test_what_is_missing_or_changed_is_noticed() -> None:
    live = {key_of(each): as_lives(each) for each in ALL}
    assert is_whole(ALL, live)
    for each in ALL:
        assert not is_whole(ALL, {k: v for k, v in live.items() if k != key_of(each)})
    live[key_of(POLICY)]["spec"]["egress"].append({})
    assert not is_whole(ALL, live)
