"""What a function is given, and what it may say."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from armonik_sdk.worker.subtasks import Promise, SubTask, SubTasks

Function = Callable[["Element"], bytes | Mapping[str, bytes] | None]
"""What is served: the only output, or outputs by name; None when there is none.

An exception is a failed execution, which is tried again as often as the element's `maxRetries` says; `Abort`
is not tried again.
"""


class Abort(Exception):  # noqa: N818 - it is what the function does, not what went wrong
    """Ends the element as an error that trying again does not mend; the text is its message."""


class Element:
    """One element, for as long as the function runs."""

    __slots__ = (
        "_folder",
        "_payload",
        "_sub_tasks",
        "dependencies",
        "index",
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
        folder: Path,
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
        self.dependencies: Final[Mapping[str, bytes]] = Dependencies(dependencies, folder)
        """Bytes of the results that it depends on, by id; read when asked for."""
        self._payload = payload
        self._folder = folder
        self._sub_tasks = SubTasks()

    @property
    def payload(self) -> bytes:
        """Its input; empty when it has none."""
        if isinstance(self._payload, str):
            return (self._folder / self._payload).read_bytes()
        return bytes(self._payload)

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
        made = SubTask(raw, needs, output, dict(options or {}), partition, priority)
        return self._sub_tasks.add(made, self.outputs, self.dependencies)

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


def read_elements(head: dict[str, Any], blobs: list[memoryview]) -> Iterator[tuple[Element, dict[str, str]]]:
    """The elements of a frame, each with the ids of its outputs by name."""
    folder, options, session = Path(head["folder"]), head.get("options") or {}, head.get("session", "")
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
            folder,
        )
        yield element, entry["outputs"]
