"""Executes one call: decodes it, calls the function, encodes what it returns or raises."""

import hashlib
import inspect
import reprlib
import socket
import traceback
from collections.abc import Mapping
from typing import Final

from armonik_sdk.functions import (
    BadEnvironment,
    Call,
    Envelope,
    EnvelopeDamaged,
    Kind,
    VersionMismatch,
    decode_call,
    decode_initializer,
    encode_error,
    encode_value,
    read,
    short_name,
)
from armonik_sdk.worker.element import Abort, Element, Retry
from armonik_sdk.worker.functions.context import CurrentTask
from armonik_sdk.worker.functions.environments import activate
from armonik_sdk.worker.functions.inputs import Inputs
from armonik_sdk.worker.functions.output_tail import tail
from armonik_sdk.worker.functions.subtasks import FunctionSubTasks, TaskFuture, TaskMap

MAX_CALL_TEXT: Final = 200
"""Characters of a call in a note."""
_initialized: set[bytes] = set()
"""SHA-256 of the initializers that this process has run."""


def run(element: Element) -> bytes | Mapping[str, bytes] | None:
    """Execute the call that is the element's payload.

    Returns:
        its value in an envelope; nothing when a sub-task makes it.

    Raises:
        Abort: the function raised, or the call cannot be read here; `detail` is the exception.
        Retry: the same, of an exception that the call names as one to try again.
    """
    tail.clear()
    output = element.outputs[0] if len(element.outputs) == 1 else None
    if output is None:
        raise Abort(f"a call has one output, not {len(element.outputs)}")
    try:
        envelope = read(element.payload_source)
        if envelope.header.kind in (Kind.VALUE, Kind.FUNCTION):
            return _payload(element)  # put by a sub-task: its value is its payload
        _check_needs(envelope, element)
        activate(element.environment)
    except (EnvelopeDamaged, VersionMismatch, BadEnvironment) as error:
        raise _refused(error, element.task_id) from None
    return _Execution(element, envelope, output).result()


class _Execution:
    """Of one call."""

    def __init__(self, element: Element, envelope: Envelope, output: str) -> None:
        self._element, self._envelope, self._output = element, envelope, output
        self._call: Call | None = None
        self._subtasks = FunctionSubTasks(element)
        self._task = CurrentTask(element, self._subtasks)

    def result(self) -> bytes | None:
        token = self._task.begin()
        try:
            self._initialize()
            call = self._decoded()
            returned = call.function(*call.args, **call.kwargs)
            if isinstance(returned, TaskFuture | TaskMap):
                self._subtasks.hand_over(returned, self._output)
                return None
            return bytes(encode_value(returned, call.name))
        except BaseException as error:  # noqa: BLE001 - whatever a user's function raises, SystemExit included
            raise self._failure(error) from None
        finally:
            self._task.end(token)

    def _initialize(self) -> None:
        """Run the call's initializer, once in each process."""
        at = self._envelope.header.initializer
        if at is None:
            return
        digest = hashlib.sha256(self._envelope.sections[at]).digest()
        if digest not in _initialized:
            function, args = decode_initializer(self._envelope)
            function(*args)
            _initialized.add(digest)

    def _decoded(self) -> Call:
        inputs = Inputs(self._element, lambda: self._task.scratch)
        self._call = call = decode_call(self._envelope, inputs.resolve)
        fn = self._envelope.header.fn
        if fn is not None and fn.need is not None:
            self._subtasks.own(call.function, self._element.needs[fn.need])
        return call

    def _failure(self, error: BaseException) -> Abort | Retry:
        """How the element ends; what was raised, in an envelope beside it."""
        printed = tail.lines()  # before the traceback is, too
        traceback.print_exception(error)
        header, call = self._envelope.header, self._call
        notes = [self._where()]
        if call is None and isinstance(error, ImportError | AttributeError):
            notes.append(
                "the call could not be decoded here: send the module with code=[…] or packages=[…], or use "
                "an image that has it"
            )
        if printed:
            notes.append("\n".join(["it printed last:", *printed]))
        detail = bytes(encode_error(error, name=header.name, notes=notes, skip=1))
        text = f"{type(error).__name__}: {error}"
        if call is not None and call.retry_on and isinstance(error, call.retry_on):
            return Retry(text, detail=detail)
        return Abort(text, detail=detail)

    def _where(self) -> str:
        element, task = self._element, self._task
        call = _call_text(self._call) if self._call is not None else self._envelope.header.name
        of = f"element {element.index} of task {task.task}"
        execution = f"execution {task.attempt} of {element.belongs_to.executions}"
        return f"{call}: {of}, {execution}, pod {socket.gethostname()}"


def _payload(element: Element) -> bytes:
    return element.payload


def _check_needs(envelope: Envelope, element: Element) -> None:
    header = envelope.header
    if header.kind is not Kind.CALL:
        raise EnvelopeDamaged(f"the payload of a call is expected, and the envelope holds a {header.kind}")
    if header.needs != len(element.needs):
        raise EnvelopeDamaged(
            f"the call of {header.name} needs {header.needs} results, and the element was given "
            f"{len(element.needs)}"
        )


def _refused(error: Exception, name: str) -> Abort:
    """Nothing was unpickled, and trying again does not help."""
    return Abort(f"{type(error).__name__}: {error}", detail=bytes(encode_error(error, name=name)))


def _call_text(call: Call) -> str:
    """The call as it is written, shortened: `square(x=17)`."""
    short = short_name(call.name)
    try:
        given = inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments.items()
        shown = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in given)
    except (TypeError, ValueError):  # no signature, or one that these arguments do not fit
        shown = ", ".join(map(reprlib.repr, call.args))
    text = f"{short}({shown})"
    return text if len(text) <= MAX_CALL_TEXT else f"{text[:MAX_CALL_TEXT]}…)"
