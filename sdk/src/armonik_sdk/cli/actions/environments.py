"""Environments of a namespace: built ahead of time, listed, and removed when nothing needs them (ADR 32)."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from armonik_sdk.aio.calls.packages import cache_folder, install, packed
from armonik_sdk.aio.calls.target import Target, target_of
from armonik_sdk.api.errors import explain
from armonik_sdk.api.names import environment_key, environments
from armonik_sdk.apiserver import SESSIONS, TASKS
from armonik_sdk.cli.actions.transfer import counted
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import BadInput
from armonik_sdk.cli.forms.base import values_of
from armonik_sdk.cli.forms.installation import Environment, EnvironmentMetadata
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.progress import Progress
from armonik_sdk.cli.output.remarks import confirm, remark
from armonik_sdk.cli.output.writers import list_writer, write_object
from armonik_sdk.cli.views.reading import is_true, name_of, text
from armonik_sdk.cli.views.results import ENVIRONMENT
from armonik_sdk.functions import Archive, named_sources
from armonik_sdk.grid.cluster.engine import ClusterGrid


@dataclass(frozen=True)
class Wanted:
    """What is to be built, and for what."""

    packages: Sequence[str]
    """Requirements."""
    file: str | None
    """A file of requirements, or a `uv.lock`, in the place of requirements."""
    code: Sequence[str]
    python: str | None
    partition: str
    push: bool

    @property
    def alone(self) -> bool:
        """Whether the cluster is not asked for anything."""
        return not self.push and (self.python is not None or not (self.packages or self.file))


@dataclass(frozen=True)
class Built:
    """An archive on this machine."""

    archive: Archive
    files: int
    target: Target | None
    """What the packages are for; None where there are none."""

    def form(self, namespace: str | None = None) -> Environment:
        """As an output; with the namespace that keeps it."""
        sha256 = self.archive.file_sha256
        return Environment(
            metadata=EnvironmentMetadata(name=sha256, namespace=namespace),
            object=None if namespace is None else environment_key(namespace, sha256),
            size=self.archive.size,
            files=self.files,
            python=None if self.target is None else self.target.python,
            platform=None if self.target is None else self.target.platform or None,
            path=str(self.archive.path),
        )


def build(settings: Settings, wanted: Wanted) -> None:
    """Build it for the Python that is named and for this machine's platform, and write its name.

    Raises:
        BadInput: a requirement names another file.
        FunctionsError: the packages cannot be installed, or are too large.
    """
    made = _built(settings, wanted, Target(wanted.python or ""))
    _write(settings, made.form())
    remark(settings, f"{_what(made)}; it is kept in {made.archive.path}, and --push uploads it")


async def build_for(cluster: Cluster, wanted: Wanted) -> None:
    """Build it for the workers of a partition, upload it if that is wanted, and write its name.

    Raises:
        BadInput: a requirement names another file.
        FunctionsError: the packages cannot be installed, or are too large.
        WaitTimeout: no worker of the partition says what it runs.
        Unavailable: the object store does not answer.
    """
    target = await _target(cluster, wanted)
    made = await asyncio.to_thread(_built, cluster.settings, wanted, target)
    if not wanted.push:
        _write(cluster.settings, made.form())
        remark(cluster.settings, f"{_what(made)}; it is kept in {made.archive.path}, and --push uploads it")
        return
    fresh = await _pushed(cluster, made.archive)
    _write(cluster.settings, made.form(cluster.namespace))
    how = "uploaded to" if fresh else "was there already in"
    remark(cluster.settings, f"{_what(made)}; it {how} the store of namespace {cluster.namespace}")


async def show_all(cluster: Cluster, older: float | None) -> None:
    """Write those that the namespace keeps, the newest first.

    Raises:
        Unavailable: the object store does not answer.
    """
    writer = list_writer(ENVIRONMENT, cluster.settings, namespaces=False)
    writer.page([values_of(found) for found in await _kept(cluster, older)])
    writer.end(nothing=f"No environments found in namespace {cluster.namespace}.")
    sys.stdout.flush()


async def prune(cluster: Cluster, older: float | None, *, yes: bool) -> None:
    """Remove those that no session needs that has not ended.

    Raises:
        Declined, NeedsYes: the user does not want it, or cannot be asked.
        Unavailable: the object store does not answer, or does not let them be deleted.
    """
    found = await _kept(cluster, older)
    used = await _used(cluster) if found else set()  # after the list, so that nothing new is taken for old
    gone = [one for one in found if one.object not in used]
    if len(found) > len(gone):
        remark(cluster.settings, f"{len(found) - len(gone)} stay: sessions that have not ended need them")
    if not gone:
        remark(cluster.settings, f"namespace {cluster.namespace} has no environment to remove")
        return
    size = sum(one.size for one in gone)
    what = f"{len(gone)} environment{'s' if len(gone) > 1 else ''} ({size} bytes)"
    confirm(f"Remove {what} of namespace {cluster.namespace}?", yes=yes)
    link = await cluster.client.connection.link()
    for one in gone:
        await link.delete([one.object or ""])
        remark(cluster.settings, f"environment {one.metadata.name} was deleted")


async def _target(cluster: Cluster, wanted: Wanted) -> Target:
    """What the packages are to be for; without any, it does not matter."""
    if not (wanted.packages or wanted.file):
        return Target(wanted.python or "")
    grid = ClusterGrid(cluster.client)
    if wanted.python is None:
        return await target_of(grid, wanted.partition)
    said = await grid.worker(wanted.partition)
    if not said.get("python"):
        return Target(wanted.python)
    return (await target_of(grid, wanted.partition))._replace(python=wanted.python)


def _built(settings: Settings, wanted: Wanted, target: Target) -> Built:
    cache = cache_folder()
    asked = Path(wanted.file) if wanted.file is not None else list(wanted.packages)
    code = named_sources(Path(path) for path in wanted.code)
    if not asked:
        made = packed((), code, cache)
        return Built(made, len(code), None)
    where = f" on {target.platform}" if target.platform else ""
    remark(settings, f"packages are installed for Python {target.python}{where}")
    try:
        files = install(asked, target, cache)
    except ValueError as error:
        raise BadInput(explain(error)) from error
    made = packed(files, code, cache)
    return Built(made, len({file.name for file in [*files, *code]}), target)


async def _pushed(cluster: Cluster, made: Archive) -> bool:
    """Upload it, unless it is there; whether that was needed."""
    link = await cluster.client.connection.link()
    key = environment_key(cluster.namespace, made.file_sha256)
    if await link.size(key) == made.size:
        return False
    with Progress(cluster.settings, "bytes") as progress:
        await link.put_stream(key, counted(made.path, progress, "environment", made.size))
    return True


async def _kept(cluster: Cluster, older: float | None) -> list[Environment]:
    """Those of the namespace, the newest first."""
    link, prefix, now = await cluster.client.connection.link(), environments(cluster.namespace), time.time()
    stored = [each async for each in link.stored(prefix)]
    return [
        Environment(
            metadata=EnvironmentMetadata(name=each.key.removeprefix(prefix), namespace=cluster.namespace),
            object=each.key,
            size=each.size,
            created=datetime.fromtimestamp(now - each.age, UTC).replace(microsecond=0),
        )
        for each in sorted(stored, key=lambda each: each.age)
        if older is None or each.age >= older
    ]


async def _used(cluster: Cluster) -> set[str]:
    """Keys of all environments that sessions that have not ended name, or their tasks."""
    ended, used = set(), set()
    async for page in cluster.pages(SESSIONS):
        for session in page.get("items", ()):
            if is_true(session, "Finished"):
                ended.add(name_of(session))
            else:
                used.add(text(session, "spec", "taskDefaults", "environment", "object"))
    async for page in cluster.pages(TASKS):
        for task in page.get("items", ()):
            if text(task, "spec", "session") not in ended:
                used.add(text(task, "spec", "options", "environment", "object"))
    return used


def _write(settings: Settings, made: Environment) -> None:
    if settings.form in ("table", "wide"):
        sys.stdout.write(f"{made.metadata.name}\n")
    else:
        write_object(values_of(made), ENVIRONMENT, settings)
    sys.stdout.flush()


def _what(made: Built) -> str:
    return f"{made.files} files, an archive of {made.archive.size} bytes"
