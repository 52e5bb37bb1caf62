"""Outputs about the installation: versions, checks; and results and environments as entries."""

from datetime import datetime
from typing import Literal

from armonik_sdk.cli.forms.base import Count, Form, Part


class ClientVersion(Part):
    """This program."""

    version: str
    """Of the SDK."""
    python: str
    """Of the Python that runs it."""


class Version(Form):
    """Output of `armonikctl version`."""

    kind: Literal["Version"] = "Version"
    """Which form it is."""
    client: ClientVersion
    """This program."""
    api: str
    """API group and version that it speaks."""
    operator: str | None = None
    """The operator's version; empty where it cannot be read, left out with `--client`."""


class CheckResult(Part):
    """What a check found."""

    check: str
    """Its name."""
    level: Literal["ok", "warn", "FAIL", "skip"]
    """How it ended."""
    text: str
    """What was found."""
    mend: str | None = None
    """What to do."""
    note: str | None = None
    """What else is to be known."""


class Diagnosis(Form):
    """Output of `armonikctl doctor`."""

    kind: Literal["Diagnosis"] = "Diagnosis"
    """Which form it is."""
    problems: Count
    """Checks that failed."""
    warnings: Count
    """Checks that warn."""
    checks: list[CheckResult]
    """In the order in which they were done."""


class ResultMetadata(Part):
    """Which result it is."""

    name: str
    """Its id."""
    namespace: str
    """Where its session is."""


class Result(Form):
    """An entry of `armonikctl result list`, and the output of `result get`."""

    kind: Literal["Result"] = "Result"
    """Which form it is."""
    metadata: ResultMetadata
    """Which result it is."""
    name: str | None = None
    """What the client that made it calls it."""
    state: Literal["Created", "Completed", "Aborted", "Deleted"]
    """Its state."""
    size: Count | None = None
    """Bytes, once it is complete."""
    task: str | None = None
    """UID of the task that makes it."""
    index: Count | None = None
    """Element of this task."""
    created: datetime | None = None
    """When it was made."""
    ended: datetime | None = None
    """When it reached its last state."""
    manual_deletion: bool | None = None
    """Whether a purge of the session leaves it alone."""
    reason: str | None = None
    """Why it was aborted."""


class EnvironmentMetadata(Part):
    """Which environment it is."""

    name: str
    """SHA-256 of the archive."""
    namespace: str | None = None
    """Whose store keeps it."""


class Environment(Form):
    """Output of `armonikctl env build`, and an entry of `env list`."""

    kind: Literal["Environment"] = "Environment"
    """Which form it is."""
    metadata: EnvironmentMetadata
    """Which environment it is."""
    object: str | None = None
    """Key of the archive in the store: with the name, what `options.environment` of a task names it by."""
    size: Count
    """Bytes of the archive."""
    created: datetime | None = None
    """When it was uploaded, of an entry of the list."""
    files: Count | None = None
    """How many there are in it, where it was built here."""
    python: str | None = None
    """Version of Python that its packages are for."""
    platform: str | None = None
    """What its packages are for, as uv names it; left out for this machine."""
    path: str | None = None
    """The archive on this machine."""
