import httpx
import pytest


@pytest.fixture
def http(api: str):
    with httpx.Client(base_url=api) as client:
        yield client


def test_smoke(http: httpx.Client) -> None:
    made = http.post("/api/v1/services", json={"name": "shop", "image": "nginx:1.29"})
    print(made.status_code, made.text, made.headers)
    assert made.status_code == 201
    print(http.get("/api/v1/services").text)
    print(http.patch("/api/v1/services/shop", json={"port": 80, "env_vars": {"A": "b"}}).text)
    print(http.patch("/api/v1/services/shop", json={"name": "x"}).text)
    print(http.post("/api/v1/services", json={"name": "shop", "image": "nginx:1.29"}).text)
    print(http.get("/api/v1/services/none").text)
    print(http.get("/api/v1/services/%00").text)
    print(http.put("/api/v1/services/shop").text)
    print(http.get("/readyz").text, http.get("/api/v1/version").text)
    print(http.delete("/api/v1/services/shop"), http.get("/api/v1/services/shop").text)
    print(http.patch("/api/v1/services/shop", json={"port": 80}).text)
    print(http.get("/api/v1/services/shop/revisions").text)
