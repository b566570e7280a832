"""Medians, spreads and ratios of contenders that took turns, as a table."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Figure = TypeVar("Figure")

# The middle half of the rounds: what else runs on the machine is in the other half.
QUARTERS = 4


@dataclass(frozen=True)
class Goal:
    """What a ratio to a peer is to be: at most, or at least, a number."""

    peer: str
    most: float | None = None
    least: float | None = None

    def verdict(self, ratio: float) -> str:
        """Return the goal in words, and whether this ratio meets it."""
        if self.most is not None:
            said, met = f"≤ {self.most:g}", ratio <= self.most
        else:
            assert self.least is not None
            said, met = f"≥ {self.least:g}", ratio >= self.least
        return f"÷ {self.peer} {said} {'met' if met else 'missed'}"


@dataclass(frozen=True)
class Table:
    """Columns of text; the first is the name of a row, the others are numbers but for `WORDS`."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown that can be read as it stands."""
        columns = []
        for name, *cells in zip(self.head, *self.rows, strict=True):
            width = max(map(len, (name, *cells)))
            if name in WORDS:
                columns.append([each.ljust(width) for each in (name, "-" * width, *cells)])
            else:
                rule = "-" * (width - 1) + ":"
                columns.append([each.rjust(width) for each in (name, rule, *cells)])
        return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


# The columns that are read and not compared.
WORDS = frozenset({"", "goal", "why"})


def take_turns(
    contenders: Mapping[str, Callable[[], Figure]], rounds: int
) -> dict[str, list[Figure]]:
    """Let each contender run once a round; one round before the first warms up and is forgotten.

    Each round begins with another one, so that none always comes after the same.
    """
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names:
            figure = contenders[name]()
            if number:
                figures[name].append(figure)
        names.append(names.pop(0))
    return figures


def compared(
    unit: str,
    figures: Mapping[str, Sequence[float]],
    peers: Sequence[str],
    goals: Mapping[str, Sequence[Goal]] | None = None,
    digits: int = 0,
) -> Table:
    """Return median and spread of each contender, and its ratio to each peer, round by round."""
    rows = []
    for name, taken in figures.items():
        ratios = {peer: _ratio(taken, figures[peer]) for peer in peers}
        said = [goal.verdict(ratios[goal.peer]) for goal in (goals or {}).get(name, ())]
        low, high = spread(taken)
        seen = [
            f"{figure:.{digits}f}" for figure in (min(taken), low, statistics.median(taken), high)
        ]
        shown = [f"{ratio:.2f}" for ratio in ratios.values()]
        rows.append([name, seen[2], f"{seen[1]} to {seen[3]}", seen[0], *shown, ", ".join(said)])
    head = ["", unit, "middle half", "least", *(f"÷ {peer}" for peer in peers), "goal"]
    if not goals:
        head, rows = head[:-1], [row[:-1] for row in rows]
    return Table(head, rows)


def curve(sizes: Sequence[int], taken: Mapping[str, Sequence[float]]) -> Table:
    """Return a row for each figure, and how it grows from the first size to the last."""
    head = ["", *(f"{size:,}" for size in sizes), f"{sizes[-1]:,} ÷ {sizes[0]:,}"]
    rows = [
        [what, *(f"{figure:.2f}" for figure in figures), f"{figures[-1] / figures[0]:.2f}"]
        for what, figures in taken.items()
    ]
    return Table(head, rows)


def spread(figures: Sequence[float]) -> tuple[float, float]:
    """Return where the middle half of the figures begins and ends."""
    if len(figures) < QUARTERS:
        return min(figures), max(figures)
    low, _, high = statistics.quantiles(figures, n=QUARTERS)
    return low, high


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
