"""What a benchmark hands back, and the two ways of showing it: terminal and Markdown."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What was promised of one figure."""

    promise: str  # "jobs per second, to huey's"
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False  # else the figure must be below the limit

    @property
    def held(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def cells(self) -> list[str]:
        """The bar as a row: promise, limit, figure, verdict."""
        unit = f" {self.unit}" if self.unit else ""
        sign = "≥" if self.at_least else "≤"
        verdict = "held" if self.held else "MISSED"
        return [self.promise, f"{sign} {self.limit:g}{unit}", f"{self.value:.3g}{unit}", verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One benchmark's outcome."""

    name: str
    title: str
    how: str  # what was done, in a paragraph
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = field(default=())


_BAR_COLUMNS = ("promise", "limit", "measured", "")


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Median, and between what it lies: "1,812 (1,640-1,905)"."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,{form}} ({low:,{form}}-{high:,{form}})" if len(values) > 1 else f"{middle:,{form}}"


def show(console: Console, report: Report) -> None:
    """Print a report for a person."""
    console.print()
    console.print(f"[bold]{escape(report.title)}[/bold]  ({report.name})")
    console.print(escape(report.how), width=110)
    for columns, rows in _tables(report):
        table = Table(*columns)
        for row in rows:
            table.add_row(*(escape(cell) for cell in row), style="bold red" if "MISSED" in row else None)
        console.print(table)
    for note in report.notes:
        console.print(f"- {escape(note)}", width=110)


def markdown(report: Report) -> str:
    """The report as a chapter of a document."""
    parts = [f"## {report.title}", report.how]
    parts += [_markdown_table(columns, rows) for columns, rows in _tables(report)]
    if report.notes:
        parts.append("\n".join(f"- {note}" for note in report.notes))
    parts.append(f"`make bench ARGS={report.name}` measures this alone.")
    return "\n\n".join(parts)


def _tables(report: Report) -> list[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    tables: list[tuple[Sequence[str], Sequence[Sequence[str]]]] = [(report.columns, report.rows)]
    if report.bars:
        tables.append((_BAR_COLUMNS, [bar.cells() for bar in report.bars]))
    return tables


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
