"""Where tokens come from and go to, with a registry that asks for them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxcloud import registry as signing
from maxcloud.pushing.connection import KeyRefused, RegistryRefused
from maxcloud.pushing.push import Neighbour, push, push_scope
from maxcloud.pushing.registry import Registry
from maxcloud.pushing.sources import read
from maxcloud.registry import Access
from tests.cli.scripted import Answer, ScriptedAPI, scripted_api
from tests.distribution import Distribution, distribution
from tests.pushing import made

SECRET = "r" * 32


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distribution]:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "jwks.json").write_text(json.dumps(signing.jwks([SECRET])))
    token = {"realm": "http://127.0.0.1:1/token", "service": "registry.test"}
    token |= {"issuer": signing.ISSUER, "jwks": str(folder / "jwks.json")}
    auth = {"token": token | {"signingalgorithms": ["ES256"]}}
    with distribution(folder, auth) as running:
        yield running


class Tokens:
    """A source of tokens that remembers what it was asked for."""

    def __init__(self, audience: str = "registry.test", age: int = 0) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._audience, self._age = audience, age

    def __call__(self, scopes: tuple[str, ...]) -> str:
        self.asked.append(scopes)
        parts = [scope.split(":") for scope in scopes]
        access = [Access(name, tuple(actions.split(","))) for _, name, actions in parts]
        at = int(time.time()) - self._age
        self._age = 0  # the next is fresh
        return signing.token([SECRET], self._audience, "test", access, at=at, seconds=60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made.docker_archive(tmp_path / "shop.tar", made.layer("a"), made.layer("b"))


def test_a_token_that_is_over_is_renewed(guarded: Distribution, path: Path) -> None:
    tokens = Tokens(age=3600)
    with Registry(guarded.url, tokens, (push_scope("o/renewed"),)) as target:
        push(read(path), target, "o/renewed", "v1", tell=lambda _: None)
    assert tokens.asked == [(push_scope("o/renewed"),)] * 2


def test_further_scopes_are_asked_for_when_another_image_lends_layers(
    guarded: Distribution, path: Path
) -> None:
    tokens = Tokens()
    with Registry(guarded.url, tokens, (push_scope("o/one"),)) as target:
        first = push(read(path), target, "o/one", "v1", tell=lambda _: None)
    ends = []
    with Registry(guarded.url, tokens, (push_scope("o/two"),)) as target:
        push(
            read(path),
            target,
            "o/two",
            "v1",
            tell=lambda happening: ends.append(happening.what) if happening.ends else None,
            neighbours=lambda: [Neighbour("o/one", first.digest)],
        )
    assert ends == ["mounted", "mounted"]
    assert tokens.asked[-1] == (push_scope("o/two"), "repository:o/one:pull")


def test_without_a_right_it_ends_at_once(guarded: Distribution, path: Path) -> None:
    tokens = Tokens()
    with (
        Registry(guarded.url, tokens, ("repository:o/shop:pull",)) as target,
        pytest.raises(KeyRefused, match="does not let this key push"),
    ):
        push(read(path), target, "o/shop", "v1", tell=lambda _: None)


def test_a_token_says_which_registry_it_is_for() -> None:
    for audience, url in {
        "registry.maxcloud.dev": "https://registry.maxcloud.dev",
        "registry.maxcloud.dev:5000": "https://registry.maxcloud.dev:5000",
        "registry.localhost:8080": "http://registry.localhost:8080",
        "127.0.0.1:5000": "http://127.0.0.1:5000",
        "localhost.evil.example": "https://localhost.evil.example",
    }.items():
        with Registry.of_tokens(Tokens(audience), push_scope("o/shop")) as found:
            assert found.url == url


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "a.e30.c", "a.eyJhdWQiOiBbXX0.c", "a.Nw.c"])
def test_a_token_that_says_nothing(token: str) -> None:
    with pytest.raises(RegistryRefused, match="names no registry"):
        Registry.of_tokens(lambda _: token)


@pytest.fixture
def elsewhere() -> Iterator[ScriptedAPI]:
    with scripted_api() as running:
        yield running


@pytest.fixture
def evil() -> Iterator[ScriptedAPI]:
    with scripted_api() as running:
        yield running


def test_no_address_in_an_answer_gets_the_token(evil: ScriptedAPI, elsewhere: ScriptedAPI) -> None:
    place = "/v2/o/shop/blobs/uploads/1?_state=x"
    away = {"Location": elsewhere.url + place}
    evil.script(
        "POST",
        "/v2/o/shop/blobs/uploads/?mount=sha256%3A0&from=o%2Fother",
        Answer(202, headers=away),
    )
    evil.script("DELETE", place, Answer(204, ""))
    evil.script("GET", "/v2/o/shop/manifests/v1", Answer(307, headers=away))
    with Registry(evil.url, lambda _: "secret-token") as target:
        assert not target.mount("o/shop", "sha256:0", "o/other")
        with pytest.raises(RegistryRefused, match="307"):
            target.manifest("o/shop", "v1")
    assert evil.times_asked("DELETE", place) == 1
    assert elsewhere.asked == []
