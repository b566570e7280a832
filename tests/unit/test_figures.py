"""What the benches make of their figures, and how the page keeps them."""

import re
from functools import partial
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.figures import Goal, Table, compared, curve, take_turns
from tests.bench.report import Section

BENCH = Path(report.__file__).parent


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def contender(name: str) -> int:
        order.append(name)
        return len(order)

    taken = take_turns({name: partial(contender, name) for name in "abc"}, 2)
    assert "".join(order) == "abcbcacab"
    assert taken == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}


def test_a_ratio_is_that_of_the_rounds() -> None:
    """The machine was ten times as slow in one round: no ratio shows it."""
    figures = {"ours": [10.0, 100.0, 11.0, 10.0], "theirs": [5.0, 50.0, 5.5, 5.0]}
    goals = {"ours": [Goal("theirs", most=1.5)], "theirs": [Goal("theirs", least=1)]}
    table = compared("ms", figures, ["theirs"], goals)
    assert table.head == ["", "ms", "middle half", "least", "÷ theirs", "goal"]
    assert table.rows == [
        ["ours", "10", "10 to 78", "10", "2.00", "÷ theirs ≤ 1.5 missed"],
        ["theirs", "5", "5 to 39", "5", "1.00", "÷ theirs ≥ 1 met"],
    ]


def test_a_curve_says_how_it_grows() -> None:
    table = curve((10, 1000), {"page": [2.0, 3.0]})
    assert table.rows == [["page", "2.00", "3.00", "1.50"]]
    assert table.head[-1] == "1,000 ÷ 10"


def test_a_table_can_be_read_as_it_stands() -> None:
    table = Table(["", "ms", "why"], [["one", "5", "so"], ["another", "10", "because"]])
    assert table.markdown().splitlines() == [
        "|         | ms | why     |",
        "| ------- | -: | ------- |",
        "| one     |  5 | so      |",
        "| another | 10 | because |",
    ]


def test_a_section_takes_the_place_of_its_predecessor_alone(tmp_path: Path) -> None:
    page, table = tmp_path / "page.md", Table(["", "ms"], [["a", "1"]])
    report.write([Section("At rest on the engine", "Old.", [table])], page)
    report.write([Section("The command line", "Kept.", [table])], page)
    report.write([Section("At rest on the engine", "New.", [table])], page)
    text = page.read_text(encoding="utf-8")
    titles = ["The command line", "At rest on the engine"]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == titles
    assert "Kept." in text
    assert "New." in text
    assert "Old." not in text


@pytest.mark.parametrize("path", list(BENCH.rglob("test_*.py")), ids=lambda path: str(path.name))
def test_every_section_has_its_place(path: Path) -> None:
    titles = re.findall(r'(?:Section|section)\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
    assert titles
    assert set(titles) <= set(report.ORDER)
