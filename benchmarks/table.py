"""The table: one line for each comparison, and what it should have been."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Row:
    """One comparison of medians.

    :param unit: of both figures.
    :param target: the largest ratio that is good enough; None for what is only told.
    """

    name: str
    ours: float
    peer: float
    unit: str
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the peer's figure ours is."""
        return self.ours / self.peer if self.peer else float("nan")

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.target is not None and self.ratio <= self.target

    def cells(self) -> list[str]:
        """Return the line as texts."""
        told = self.target is not None
        return [
            self.name,
            f"{figure(self.ours)} {self.unit}",
            f"{figure(self.peer)} {self.unit}",
            f"{self.ratio:.3f}",
            f"≤ {self.target:.3f}" if told else "",
            ("yes" if self.met else "NO") if told else "",
        ]


def figure(value: float) -> str:
    """Return *value* with three digits or more.

    >>> figure(1234.5), figure(12.345), figure(0.5)
    ('1,234', '12.3', '0.500')
    """
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


HEAD = ["ours : peer", "ours", "peer", "ratio", "target", "met?"]


def table(rows: list[Row]) -> str:
    """Return *rows* as a table in Markdown."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        ) + " |"
        for line in lines
    )  # fmt: skip


def summary(rows: list[Row]) -> str:
    """Return how many targets are met."""
    aimed = [row for row in rows if row.target is not None]
    missed = [row.name for row in aimed if not row.met]
    line = f"{len(aimed) - len(missed)} of {len(aimed)} targets are met"
    return line + (f"; missed: {'; '.join(missed)}" if missed else "")
