"""Outputs about tasks: results, failures, sub-tasks, lines that workers print, calls of functions."""

from typing import Any, Literal

from armonik_sdk.cli.forms.base import Count, Form, Part


class TaskResult(Form):
    """A line of `armonikctl task results` for each element whose result is there."""

    kind: Literal["TaskResult"] = "TaskResult"
    """Which form it is."""
    task: str
    """Name of the task."""
    index: Count
    """The element."""
    output: str
    """Name of the output."""
    size: Count
    """Bytes."""
    text: str | None = None
    """The result, if it is UTF-8."""
    base64: str | None = None
    """The result, if it is not."""


class TaskFailure(Form):
    """A line of `armonikctl task failures` for each element that failed."""

    kind: Literal["TaskFailure"] = "TaskFailure"
    """Which form it is."""
    task: str
    """Name of the task."""
    index: Count
    """The element."""
    reason: str
    """Why, in one word for programs."""
    message: str
    """Why, in the words of the worker or of the system."""
    attempts: Count
    """Executions; 0 if it never ran."""
    traceback: str | None = None
    """Where in a Python function it happened, with `--traceback`."""
    printed: str | None = None
    """What it printed last, with `--traceback`, where there is no traceback."""


class TreeTask(Part):
    """A task of a tree."""

    name: str
    """Its name."""
    uid: str
    """Its UID."""
    phase: str
    """Its phase."""
    progress: str
    """Succeeded elements of all elements, such as 498/1000; empty before it is admitted."""
    children: list["TreeTask"]
    """Tasks that its workers submitted; at most 1000 in the whole tree."""


class TaskTree(Form):
    """Output of `armonikctl task tree`."""

    kind: Literal["TaskTree"] = "TaskTree"
    """Which form it is."""
    root: TreeTask
    """The task that was named."""


class LogLine(Part):
    """A line of `armonikctl logs`; without `apiVersion`, which would be most of it."""

    kind: Literal["LogLine"] = "LogLine"
    """Which form it is."""
    pod: str | None = None
    """Who wrote it; left out of lines that were kept with the outcome of their element."""
    time: str | None = None
    """When, as the node says it; left out likewise."""
    task: str | None = None
    """Name of the task, else its UID; left out where the line is of no element."""
    index: Count | None = None
    """The element."""
    text: str
    """What."""


class CallError(Part):
    """What a function raised."""

    type: str
    """Name of the exception's class."""
    message: str
    """Its text."""


class CallResult(Part):
    """A line of `armonikctl run` for each call; without `apiVersion`, which would be most of it."""

    index: Count
    """Which call."""
    value: Any = None
    """What the function returned, of calls that succeeded."""
    repr: str | None = None
    """The same as text, of values that JSON does not have."""
    error: CallError | None = None
    """Of calls that failed."""
