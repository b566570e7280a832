"""Each statement of a .sql file is used by the module beside it, and each used one is there."""

import re
from pathlib import Path

import pytest

from maxcloud.store import database

STORE = Path(database.__file__).parent
NOUNS = sorted(path.stem for path in STORE.glob("*.sql"))

# `_SQL["name"]`, or the first text handed to a helper that looks the statement up.
USE = re.compile(r'_SQL\["(\w+)"\]|_(?:run|rows|one|all|find|guarded)\(\s*(?:\w+,\s*)?"(\w+)"')


def test_there_are_statements() -> None:
    expected = """
        accounts api_keys convergence dead_letters functions idempotency images invitations limits
        mails organisations revisions service_events service_names services sweeps
    """
    assert expected.split() == NOUNS


@pytest.mark.parametrize("noun", NOUNS)
def test_statements_and_their_uses_agree(noun: str) -> None:
    code = (STORE / f"{noun}.py").read_text(encoding="utf-8")
    used = {name for names in USE.findall(code) for name in names if name}
    assert used == set(database.statements(noun))


@pytest.mark.parametrize("noun", NOUNS)
def test_a_statement_names_the_organisation_or_says_that_it_does_not(noun: str) -> None:
    for name, text in database.statements(noun).items():
        across = name.endswith("_across_tenants") or noun in {"dead_letters", "sweeps"}
        assert ("%(org_id)s" in text) != across, name


def test_an_unknown_noun_is_a_mistake() -> None:
    with pytest.raises(FileNotFoundError):
        database.statements("nothing")
