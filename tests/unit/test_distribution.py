"""The private registry is one truth: distribution.yaml, the function `registry`, registry.py."""

import re

import yaml

from maxcloud import registry
from tests.manifests import APIS, BASE, LOCAL, ROOT, documents
from tests.rights import NAMES


def test_the_registry_believes_and_tells_our_function() -> None:
    found = {each["kind"]: each for each in documents(BASE / "distribution.yaml")}
    config = yaml.safe_load(found["ConfigMap"]["data"]["config.yml"])
    assert config["auth"]["token"]["issuer"] == registry.ISSUER
    assert config["auth"]["token"]["signingalgorithms"] == ["ES256"]
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    [endpoint] = yaml.safe_load(env["REGISTRY_NOTIFICATIONS_ENDPOINTS"])
    host = "http://registry.mc-system.svc.cluster.local"
    assert [f"{host}{hook.path}" for hook in APIS["registry"].hooks] == [endpoint["url"]]
    token = env["REGISTRY_AUTH_TOKEN_REALM"].partition(")")[2]
    assert token in {route.path for route in APIS["registry"].routes}
    # A Service named `registry` would set variables that are Distribution's own.
    assert found["Deployment"]["spec"]["template"]["spec"]["enableServiceLinks"] is False
    paths = {p["path"]: p for p in found["Ingress"]["spec"]["rules"][0]["http"]["paths"]}
    assert set(paths) == {token, "/healthz", "/v2/"}
    # Knative makes an Ingress and a Service of each function's name.
    assert not {each["metadata"]["name"] for each in found.values()} & set(NAMES)
    [split] = paths["/v2/"]["splits"]
    assert split["serviceName"] == found["Service"]["metadata"]["name"]


def test_distribution_is_the_same_wherever_it_is_built_and_run() -> None:
    pins = [
        re.search(r"github.com/distribution/distribution/v3 v(\S+)", path.read_text("utf-8"))
        for path in (ROOT / "tests" / "cluster" / "go").glob("*/go.mod")
    ]
    [kustomization] = documents(LOCAL / "kustomization.yaml")
    tags = {each["name"]: each["newTag"] for each in kustomization["images"]}
    assert {pin[1] for pin in pins if pin} == {tags["docker.io/library/registry"]}
