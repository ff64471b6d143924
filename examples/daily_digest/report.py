"""What the demo shows: a line for each run while it runs, then what became of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from squid_mesh import Run, RunDetails

from .scenarios import Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """Tells the state of each run: in place on a terminal, else in a line for each change."""

    console: Console
    live: Live | None
    lines: dict[str, str] = field(default_factory=dict)

    def show(self, title: str, run: Run) -> None:
        """Tell where a run is, if that is news."""
        steps = ", ".join(run.current_steps)
        line = f"{steps} ({run.status})" if steps else str(run.status)
        if self.lines.get(title) == line:
            return
        self.lines[title] = line
        if self.live is None:
            self.say(f"{title}: {line}")
        else:
            self.live.update(_grid(self.lines))

    def say(self, sentence: str) -> None:
        """Tell what happens besides."""
        self.console.print(Text(sentence), soft_wrap=True)


@contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """Yield what tells of the runs while they run."""
    with Live(console=console, transient=True) if console.is_terminal else nullcontext() as live:
        yield Progress(console, live)


def report(console: Console, outcome: Outcome) -> None:
    """Print a run's steps and attempts, what the webhook received, and the row, if there is one."""
    steps = _table(outcome.scenario.title, "step", "attempt", "status", "after", "took", "error")
    _fill(steps, _attempts(outcome.details))
    console.print(steps)
    if outcome.posts:
        posts = _table("the webhook received", "at", "answered", "content", "embeds")
        _fill(posts, (_post(post.path, post.status, post.message) for post in outcome.posts))
        console.print(posts)
    if row := outcome.delivery:
        rows = _table("failed_deliveries holds", "id", "content", "reason")
        _fill(rows, [(str(row.id), _headline(row.content), row.reason)])
        console.print(rows)


def _attempts(details: RunDetails) -> Iterator[tuple[str, ...]]:
    for step_run in details.step_runs:
        for attempt in step_run.attempts:
            error = attempt.error
            yield (
                step_run.step if attempt.number == 1 else "",
                str(attempt.number),
                str(attempt.status),
                _between(details.inserted_at, attempt.started_at),
                _between(attempt.started_at, attempt.finished_at),
                f"{error.type}: {error.message}" if error else "",
            )


def _post(path: str, status: int | None, message: dict[str, object]) -> tuple[str, ...]:
    embeds = message["embeds"]
    assert isinstance(embeds, list)
    return path, str(status or "–"), _headline(str(message["content"])), str(len(embeds))


def _headline(content: str) -> str:
    return content.partition("\n")[0]


def _between(earlier: datetime | None, later: datetime | None) -> str:
    if earlier is None or later is None:
        return "–"
    return f"{(later - earlier).total_seconds() * 1000:,.0f} ms"


def _grid(lines: dict[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for title, line in lines.items():
        grid.add_row(Text(title, style="bold"), Text(line))
    return grid


def _table(title: str, *columns: str) -> Table:
    first, *others = columns
    return Table(
        Column(first, no_wrap=True),
        *others,
        title=Text(f"\n{title}", style="bold"),
        title_justify="left",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
    )


def _fill(table: Table, rows: Iterable[tuple[str, ...]]) -> None:
    for row in rows:
        table.add_row(*map(Text, row))  # not strings: those would be read as rich's markup
