"""The argument of a user's function: the element, its inputs and outputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from armonik_sdk.worker.subtasks import Promise, SubTask, SubTasks

Function = Callable[["Element"], bytes | Mapping[str, bytes] | None]
"""What is served: the only output, or outputs by name; None when there is none.

An exception is a failed execution, which is tried again as often as the element's `maxRetries` says; `Abort`
is not tried again.
"""


class _Ending(Exception):  # noqa: N818 - it is what the function does, not what went wrong
    """How an execution ends without outputs."""

    def __init__(self, message: str = "", *, detail: bytes = b"") -> None:
        """The message is for people.

        Args:
            message: at most 4 KiB are kept.
            detail: bytes that say more, at most 64 KiB; kept with the element's end, and readable as its
                output `error`.
        """
        super().__init__(message)
        self.detail = detail


class Abort(_Ending):
    """Ends the element with an error that is not retried; the text is its message."""


class Retry(_Ending):
    """Ends this execution as a failed one, which is tried again as often as the element's `maxRetries` says.

    Any other exception but `Abort` does so too; this one is for functions that want to say more.
    """


class Environment(NamedTuple):
    """A ZIP archive of packages and source files to import from."""

    sha256: str
    """Of the archive."""
    source: memoryview | Path
    """Its bytes, or the file."""


class Belonging(NamedTuple):
    """What an execution belongs to; empty where the agent does not say it."""

    session: str = ""
    """Name of the Session."""
    task: str = ""
    """Name of the Task."""
    partition: str = ""
    attempt: int = 1
    """Number of this execution."""
    executions: int = 1
    """How many the element may have."""
    seconds: float = 0.0
    """How long one may take; 0 when there is no limit."""


class Element:
    """One element, for as long as the function runs."""

    __slots__ = (
        "_dependencies",
        "_folder",
        "_payload",
        "_sub_tasks",
        "belongs_to",
        "dependencies",
        "environment",
        "index",
        "needs",
        "options",
        "outputs",
        "session",
        "task_id",
    )

    def __init__(
        self,
        index: int,
        task_id: str,
        payload: bytes | memoryview | str,
        dependencies: Mapping[str, memoryview | None],
        outputs: tuple[str, ...],
        options: Mapping[str, str],
        session: str,
        *,
        folder: Path,
        needs: tuple[str, ...] | None = None,
        belongs_to: Belonging | None = None,
        environment: Environment | None = None,
    ) -> None:
        """`payload` as text is the name of a file of the folder; dependencies are ones when they are None."""
        self.index: Final = index
        """Its number in the Task."""
        self.task_id: Final = task_id
        self.outputs: Final = outputs
        """Names of the outputs that it must return, or hand over to sub-tasks."""
        self.options: Final = options
        """The Task's own options (`spec.options.options`)."""
        self.session: Final = session
        """UID of the Session."""
        self._dependencies = Dependencies(dependencies, folder)
        self.dependencies: Final[Mapping[str, bytes]] = self._dependencies
        """Bytes of the results that it depends on, by id; read when asked for."""
        self.needs: Final = tuple(dependencies) if needs is None else needs
        """Ids of these results in the order of submission: the Task's, then its own. One may occur twice."""
        self.environment: Final = environment
        """What functions import from; None when there is nothing."""
        self.belongs_to: Final = belongs_to or Belonging()
        self._payload = payload
        self._folder = folder
        self._sub_tasks = SubTasks()

    @property
    def payload(self) -> bytes:
        """Its input; empty when it has none."""
        if isinstance(self._payload, str):
            return (self._folder / self._payload).read_bytes()
        return bytes(self._payload)

    @property
    def payload_source(self) -> memoryview | Path:
        """Where its input is: in memory, or a file of the folder, which may be mapped."""
        if isinstance(self._payload, str):
            return self._folder / self._payload
        return memoryview(self._payload)

    def source(self, dependency: str) -> memoryview | Path:
        """Where the bytes of a dependency are: in memory, or a file of the folder, which may be mapped.

        Raises:
            KeyError: it is no dependency of this element.
        """
        return self._dependencies.source(dependency)

    def submit(
        self,
        payload: bytes | str = b"",
        *,
        depends_on: Iterable[Promise | str] = (),
        output: str | None = None,
        options: Mapping[str, str] | None = None,
        partition: str = "",
        priority: int = 0,
    ) -> Promise:
        """Submit a sub-task of one output. It exists once this element has succeeded, and otherwise never.

        Args:
            payload: its input; text is sent as UTF-8.
            depends_on: what it waits for and is given: results of sub-tasks submitted before, dependencies of
                this element by id.
            output: name of an output of this element, which the sub-task makes in its place; the function
                then does not return it.
            options: texts that differ from this element's.
            partition: where it shall run; this element's when left out.
            priority: from 1 to 99; this element's when left out.

        Returns:
            What it will make, for `depends_on` of those submitted later.

        Raises:
            ValueError: it names what is not there, or an output that is handed over already.
        """
        needs = tuple(needed if isinstance(needed, str) else needed.number for needed in depends_on)
        raw = payload.encode() if isinstance(payload, str) else bytes(payload)
        sub_task = SubTask(raw, needs, output, dict(options or {}), partition, priority)
        return self._sub_tasks.add(sub_task, self.outputs, self.dependencies)

    @property
    def sub_tasks(self) -> SubTasks:
        """What was submitted so far."""
        return self._sub_tasks


class Dependencies(Mapping[str, bytes]):
    """Inputs by result id."""

    __slots__ = ("_folder", "_given")

    def __init__(self, given: Mapping[str, memoryview | None], folder: Path) -> None:
        self._given, self._folder = given, folder

    def __getitem__(self, name: str) -> bytes:
        data = self._given[name]
        return (self._folder / name).read_bytes() if data is None else bytes(data)

    def source(self, name: str) -> memoryview | Path:
        """Where the bytes are."""
        data = self._given[name]
        return self._folder / name if data is None else data

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


def read_elements(head: dict[str, Any], blobs: list[memoryview]) -> Iterator[tuple[Element, dict[str, str]]]:
    """The elements of a frame, each with the ids of its outputs by name."""
    folder, options, session = Path(head["folder"]), head.get("options") or {}, head.get("session", "")
    environment = environment_of(head, blobs, folder)
    names = (head.get("sessionName", ""), head.get("task", ""), head.get("partition", ""))
    for entry in head["elements"]:
        payload = entry["payload"]
        given = {
            name: None if number is None else blobs[number]
            for name, number in (entry.get("dependencies") or {}).items()
        }
        element = Element(
            entry["index"],
            entry["id"],
            payload if isinstance(payload, str) else blobs[payload],
            given,
            tuple(entry["outputs"]),
            options,
            session,
            folder=folder,
            needs=tuple(entry["needs"]) if "needs" in entry else None,
            belongs_to=Belonging(
                *names,
                attempt=entry.get("attempt", 1),
                executions=head.get("executions", 1),
                seconds=head.get("limit", 0.0),
            ),
            environment=environment,
        )
        yield element, entry["outputs"]


def environment_of(head: dict[str, Any], blobs: list[memoryview], folder: Path) -> Environment | None:
    """What the elements of a frame import from."""
    given = head.get("environment")
    if given is None:
        return None
    place = given["place"]
    return Environment(given["sha256"], folder / place if isinstance(place, str) else blobs[place])
