"""Sub-tasks of a call: functions submitted by a function, which exist once its element has succeeded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, overload

from armonik_sdk.functions import (
    Form,
    Function,
    Needs,
    Placeholder,
    encode_call,
    encode_value,
    prepare_function,
    reduce_need,
)
from armonik_sdk.functions.messages import MAX_INLINE_FUNCTION
from armonik_sdk.worker.element import Element
from armonik_sdk.worker.subtasks import Promise

NOBODY_WAITS: Final = (
    "a task cannot wait for its sub-tasks: return the future, or give it to another sub-task"
)


class TaskFuture:
    """The result that a sub-task will have: an argument of other sub-tasks, or what the function returns."""

    __slots__ = ("_subtasks", "promise")

    def __init__(self, subtasks: "FunctionSubTasks", promise: Promise) -> None:
        self._subtasks = subtasks
        self.promise: Final = promise

    def result(self, timeout: float | None = None) -> NoReturn:
        """Nobody waits inside a worker.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(NOBODY_WAITS)

    exception = result

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reduce_need(self, self.promise)

    def belongs_to(self, subtasks: "FunctionSubTasks") -> bool:
        """Whether it is of this execution."""
        return self._subtasks is subtasks


class TaskMap(Sequence[TaskFuture]):
    """The results that the sub-tasks of a `map` will have; as an argument, one lazy sequence of them."""

    def __init__(self, futures: Sequence[TaskFuture]) -> None:
        self._futures = futures

    def __len__(self) -> int:
        return len(self._futures)

    def __iter__(self) -> Iterator[TaskFuture]:
        return iter(self._futures)

    @overload
    def __getitem__(self, at: int) -> TaskFuture: ...
    @overload
    def __getitem__(self, at: slice) -> "TaskMap": ...
    def __getitem__(self, at: int | slice) -> Any:
        return TaskMap(self._futures[at]) if isinstance(at, slice) else self._futures[at]

    def results(self, timeout: float | None = None) -> NoReturn:
        """Nobody waits inside a worker.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(NOBODY_WAITS)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return reduce_need(self, id(self), form=Form.SEQUENCE, length=len(self))


class FunctionSubTasks:
    """Submits calls as sub-tasks of one element."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._prepared: dict[int, tuple[Callable[..., Any], Function, Promise | str | None]] = {}
        self._own: tuple[Callable[..., Any], str] | None = None

    def own(self, function: Callable[..., Any], dependency: str) -> None:
        """The function that is executed is this dependency: sub-tasks that call it need it, too."""
        self._own = function, dependency

    def submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskFuture:
        """Submit a call.

        Raises:
            NotPicklable: the function or an argument cannot be sent.
            ValueError: there are too many sub-tasks, or a future is another execution's.
        """
        prepared, holder = self._prepare(function)
        needs = Needs()
        place: Placeholder | None = None
        if holder is not None:
            place = needs.add(holder, holder, form=Form.FUNCTION)
        packed = encode_call(prepared, args, kwargs, needs=needs, function_need=place)
        depends_on: list[Promise | str] = []
        for need in needs.found:
            depends_on += self._promises(need.thing)
        return TaskFuture(self, self._element.submit(bytes(packed), depends_on=depends_on))

    def map(self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> TaskMap:
        """Submit a call for each tuple of arguments; raises as `submit`."""
        return TaskMap([self.submit(function, args, {}) for args in calls])

    def put(self, value: object) -> TaskFuture:
        """Send a value once for several sub-tasks; raises as `submit`."""
        return TaskFuture(self, self._element.submit(bytes(encode_value(value))))

    def hand_over(self, returned: TaskFuture | TaskMap, output: str) -> None:
        """Let a sub-task make the element's output.

        Raises:
            ValueError: it is another execution's.
        """
        future = self.submit(list, (returned,), {}) if isinstance(returned, TaskMap) else returned
        if not future.belongs_to(self):
            raise ValueError("the function returned a future of another execution")
        self._element.sub_tasks.hand_over(future.promise, output)

    def _prepare(self, function: Callable[..., Any]) -> tuple[Function, Promise | str | None]:
        """The function pickled once, and what holds it when it is too long to travel in each call."""
        known = self._prepared.get(id(function))
        if known is None:
            prepared = prepare_function(function)
            holder: Promise | str | None = None
            if self._own is not None and function is self._own[0]:
                holder = self._own[1]
            elif prepared.packed is not None and (
                prepared.inline is None or len(prepared.inline) > MAX_INLINE_FUNCTION
            ):
                holder = self._element.submit(bytes(prepared.packed))
            known = self._prepared[id(function)] = (function, prepared, holder)
        return known[1], known[2]

    def _promises(self, thing: object) -> list[Promise | str]:
        if isinstance(thing, TaskMap):
            return [promise for future in thing for promise in self._promises(future)]
        if isinstance(thing, TaskFuture):
            if not thing.belongs_to(self):
                raise ValueError("a future of another execution is no argument of this one's sub-tasks")
            return [thing.promise]
        if isinstance(thing, Promise | str):
            return [thing]
        raise ValueError(f"a {type(thing).__name__} of a client cannot be given to a sub-task")
