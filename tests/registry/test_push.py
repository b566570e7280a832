"""`maxcloud push` and `maxcloud images`, with the list that Distribution's notifications make."""

import json
from pathlib import Path

from maxcloud.roles import Role
from tests.cli.conftest import Maxcloud, against
from tests.functions.people import Organisation
from tests.journeys.platform import eventually
from tests.pushing import made
from tests.registry.world import World

LAYERS = tuple(made.layer(name, 100_000) for name in ("a", "b", "c"))


def member(world: World) -> Maxcloud:
    key = Organisation(world.database).key(Role.MEMBER)
    return Maxcloud(against(world.url).env | {"MAXCLOUD_API_KEY": key, "HOME": "/nonexistent"})


def listed(maxcloud: Maxcloud) -> list[list[str]]:
    done = maxcloud("images", "-o", "json")
    assert done.code == 0, done.err
    return [[each["name"], *each["tags"]] for each in json.loads(done.out)]


def test_what_was_pushed_is_listed_and_deleted(world: World, tmp_path: Path) -> None:
    maxcloud = member(world)
    first = str(made.docker_archive(tmp_path / "1.tar", *LAYERS[:2]))
    second = str(made.oci_layout(tmp_path / "2", *LAYERS))
    digests = []
    for source, tag in ((first, "v1"), (second, "v2")):
        done = maxcloud("push", source, "--name", "team/shop", "--tag", tag, "--quiet")
        assert done.code == 0, done.err
        digests.append(done.out.strip().partition("@")[2])
    expected = [["team/shop", "v2"], ["team/shop", "v1"]]
    eventually("images", lambda: listed(maxcloud), 20, lambda found: found == expected)
    rows = maxcloud("images").out.splitlines()
    assert rows[0].split() == ["NAME", "TAGS", "DIGEST", "SIZE", "AGE"]
    assert [row.split()[2] for row in rows[1:]] == [each[:19] for each in reversed(digests)]

    assert maxcloud("images", "delete", "team/shop:v1", "--yes").code == 0
    assert listed(maxcloud) == expected[:1]
    again = maxcloud("images", "delete", "team/shop:v1", "--yes")
    assert (again.code, again.err.count("\n")) == (1, 2)


def test_another_image_of_the_organisation_lends_its_layers(world: World, tmp_path: Path) -> None:
    maxcloud = member(world)
    base = str(made.docker_archive(tmp_path / "1.tar", *LAYERS[:2]))
    assert maxcloud("push", base, "--name", "base").code == 0
    eventually("images", lambda: listed(maxcloud), 20, lambda found: found != [])
    shop = str(made.docker_archive(tmp_path / "2.tar", *LAYERS))
    done = maxcloud("push", shop, "--name", "shop")
    assert done.code == 0, done.err
    assert done.err.count("mounted, ") == 2
    assert done.err.count("pushed, ") == 1
