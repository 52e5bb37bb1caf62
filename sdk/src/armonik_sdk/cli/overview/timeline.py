"""A Task's times as events of the Chrome trace format, which Perfetto opens.

What is kept of an element is how long its last execution took; of a run, when the last of its outcomes was
stored. So the end of a run is known, and its begin is estimated: its elements one after the other until then.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

from armonik_sdk.api.records import OutcomeKind
from armonik_sdk.api.results import RunResults
from armonik_sdk.cli.views.reading import Object, condition, is_true, moment, name_of, text

STEPS: Final = ("created", "submitted", "dispatched", "started", "ended")
"""Of a single element, as its status has them."""
_BETWEEN: Final = ("admitted", "in the queue", "with an agent", "computed")
"""What happens between them."""
MOST_ELEMENTS: Final = 10_000
"""Most elements of a task that are shown one by one; of more, runs alone are shown."""

MOST_SECONDS: Final = 10 * 366 * 24 * 3600.0
"""Longest execution that is drawn: an agent says how long one took, and may say anything."""

Event = dict[str, Any]


class Element(NamedTuple):
    """An element that was executed."""

    number: int
    """Its index."""
    seconds: float
    """How long its last execution took."""
    succeeded: bool
    executions: int


@dataclass(frozen=True)
class Run:
    """A run as it is drawn. Times are seconds since the epoch."""

    start: int
    """Its first element."""
    end: float
    """When the last of its outcomes was stored."""
    seconds: float
    """That its elements took together."""
    executed: int
    """Elements."""
    failed: int
    """Of these."""
    elements: tuple[Element, ...] = ()
    """By index; empty where they are not shown."""

    @property
    def begin(self) -> float:
        """As if its elements were computed one after the other until its end."""
        return self.end - self.seconds


def run_of(start: int, entry: RunResults, *, each: bool) -> Run | None:
    """Of an entry of RESULTS; None where nothing of it was executed, or the time is not known.

    Args:
        start: first element.
        entry: what is kept of the run.
        each: keep what is known of each element, too.
    """
    elements = tuple(
        Element(
            outcome.index,
            min(outcome.seconds, MOST_SECONDS),
            outcome.kind is OutcomeKind.COMPLETED,
            outcome.attempts,
        )
        for outcome in entry.outcomes
        if outcome.attempts and outcome.seconds
    )
    if not elements or not entry.time:
        return None
    seconds = sum(element.seconds for element in elements)
    failed = sum(not element.succeeded for element in elements)
    return Run(start, entry.time, seconds, len(elements), failed, elements if each else ())


def whole(task: Object, now: datetime, latest: float = 0.0) -> Iterator[Event]:
    """The task itself, and the steps of its element where it has a single one.

    Args:
        task: as the apiserver has it.
        now: until when it lasts if it has not finished.
        latest: when the last of its runs ended, in seconds since the epoch. The task has no earlier end; its
            own is kept in whole seconds, rounded down.
    """
    created = moment(text(task, "metadata", "creationTimestamp"))
    if created is None:
        return
    zero = created.timestamp()
    yield _name("process_name", 0, f"task {name_of(task)}")
    yield _name("thread_name", 0, "task")
    over = moment(text(condition(task, "Finished"), "lastTransitionTime"))
    end = over if over is not None and is_true(task, "Finished") else now
    reason = text(condition(task, "Finished"), "reason") or "not finished"
    lasts = max(end.timestamp(), latest) - zero
    yield _span(name_of(task), 0, 0.0, lasts, {"outcome": reason})
    times = [(step, moment(text(task, "status", "times", step))) for step in STEPS]
    known = [(step, time.timestamp() - zero) for step, time in times if time is not None]
    if len(known) > 1:
        yield _name("thread_name", 1, "element 0")
    for (before, begin), (after, then) in pairwise(known):
        steps = _BETWEEN[STEPS.index(before) : STEPS.index(after)]
        yield _span(", ".join(steps), 1, begin, then - begin, {"from": before, "to": after})


def of_runs(runs: list[Run], zero: float) -> Iterator[Event]:
    """The runs, on as few tracks as there were runs at a time.

    Args:
        runs: in any order.
        zero: when the task was created, in seconds since the epoch.
    """
    free: list[tuple[float, int]] = []
    """When a track is free, and its number."""
    tracks = 0
    for run in sorted(runs, key=lambda run: (run.begin, run.start)):
        if free and free[0][0] <= run.begin + 1e-6:
            _, track = heapq.heappop(free)
        else:
            tracks += 1
            track = tracks
            yield _name("thread_name", track, f"runs {track}")
        heapq.heappush(free, (run.end, track))
        yield from _drawn(run, track, zero)


def _drawn(run: Run, track: int, zero: float) -> Iterator[Event]:
    facts = {"elements": run.executed, "failed": run.failed, "begin": "estimated"}
    yield _span(f"run {run.start}", track, run.begin - zero, run.seconds, facts)
    at = run.begin - zero
    for element in run.elements:
        facts = {
            "outcome": "succeeded" if element.succeeded else "failed",
            "executions": element.executions,
        }
        yield _span(f"element {element.number}", track, at, element.seconds, facts)
        at += element.seconds


def _name(what: str, track: int, name: str) -> Event:
    return {"ph": "M", "name": what, "pid": 1, "tid": track, "args": {"name": name}}


def _span(name: str, track: int, begin: float, seconds: float, facts: Event) -> Event:
    """A span; times of the format are whole microseconds here."""
    return {
        "ph": "X",
        "name": name,
        "pid": 1,
        "tid": track,
        "ts": round(1e6 * begin),
        "dur": round(1e6 * max(0.0, seconds)),
        "args": facts,
    }
