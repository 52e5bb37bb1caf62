"""Plain Python functions on our worker of functions, beside the agent, on real servers."""

import base64
import ctypes
import os
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures.process import _RemoteTraceback
from pathlib import Path
from typing import Any

import pytest
from agent_bench import Bench, Pod, Pods
from nats.aio.client import Client

from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.api.messages import ElementSpec, ManifestItem, PodEvent
from armonik_sdk.api.names import WORKER_ABOUT, RunId, event_subject, result_id
from armonik_sdk.api.records import DataRef, Outcome, OutcomeKind, Record
from armonik_sdk.functions import (
    EnvelopeDamaged,
    Form,
    Needs,
    Packed,
    PythonMismatch,
    archive,
    decode_error,
    decode_value,
    encode_call,
    encode_value,
    here,
    named_sources,
    prepare_function,
    read,
    reduce_need,
)
from armonik_sdk.functions.messages import Function
from armonik_sdk.worker.functions import current_task

pytestmark = pytest.mark.integration

COMMAND = (sys.executable, "-m", "armonik_sdk.worker.functions")
MIB = 1024 * 1024


@pytest.fixture
async def python(pods: Pods) -> Pod:
    return pods.start(script=COMMAND)


class Ref:
    """A result, as clients have it."""

    def __init__(self, name: str, form: Form = Form.VALUE) -> None:
        self.name, self.form = name, form

    def __reduce__(self) -> Any:
        return reduce_need(self, self.name, form=self.form)


def call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Packed:
    return encode_call(prepare_function(fn), args, kwargs)


async def element(bench: Bench, packed: Packed | bytes, needs: tuple[str, ...] = ()) -> ElementSpec:
    ref = await bench.put(bytes(packed))
    return ElementSpec(payload=DataRef.model_validate(ref.model_dump()), dependencies=needs or None)


async def submit(
    bench: Bench, *calls: Packed | bytes, retries: int = 1, seconds: int = 60, **fields: Any
) -> RunId:
    elements = {index: await element(bench, one) for index, one in enumerate(calls)}
    options = TaskOptions(max_retries=retries, max_duration_seconds=seconds, partition="p")
    return await bench.submit("", end=len(calls), elements=elements, options=options, **fields)


async def value(bench: Bench, record: Record, outcome: Outcome) -> Any:
    return decode_value(read(await content(bench, record, "outputs", outcome)))


async def error(bench: Bench, record: Record, outcome: Outcome) -> BaseException:
    return decode_error(read(await content(bench, record, "error", outcome)))


async def content(bench: Bench, record: Record, which: str, outcome: Outcome) -> bytes:
    piece = outcome.error if which == "error" else outcome.outputs["result"]
    assert piece is not None, f"{outcome.kind}: {outcome.message}"
    if piece.inline is not None:
        return base64.b64decode(piece.inline)
    return await bench.store.get(record.ref(piece))


async def test_functions_are_executed(bench: Bench, python: Pod) -> None:
    run = await submit(bench, *(call(lambda x: x * x, number) for number in range(200)))
    done = await bench.ended(run)
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.COMPLETED}
    got = [await value(bench, done, done.outcomes[index]) for index in (0, 17, 199)]
    assert got == [0, 289, 199 * 199]


async def test_large_arguments_and_results_travel(bench: Bench, python: Pod) -> None:
    run = await submit(bench, call(lambda data: data[::-1], b"a" + bytes(20 * MIB) + b"z"))
    done = await bench.ended(run)
    got = await value(bench, done, done.outcomes[0])
    assert (got[:1], got[-1:], len(got)) == (b"z", b"a", 20 * MIB + 2)


async def test_results_arrive_in_the_order_of_submission(bench: Bench, python: Pod) -> None:
    """The Task's first, then the element's own, whatever their ids sort like; one may occur twice."""
    values = {name: bytes(encode_value(name)) for name in ("zz", "aa", "mm")}
    locators = {name: DataRef.of_bytes(data) for name, data in values.items()}
    needs = Needs()
    for name in ("zz", "aa"):
        needs.add(name, name)
    sent = encode_call(
        prepare_function(lambda *all: all), (Ref("mm"), Ref("zz"), Ref("aa"), Ref("again")), needs=needs
    )
    given = await element(bench, sent, ("mm", "aa"))
    run = await bench.submit("", elements={0: given}, dependencies=("zz", "aa"), locators=locators)
    done = await bench.ended(run)
    assert await value(bench, done, done.outcomes[0]) == ("mm", "zz", "aa", "aa")


async def test_the_original_exception_arrives(bench: Bench, python: Pod) -> None:
    def train(rate: float) -> None:
        print("epoch 1")  # noqa: T201 - what is printed is shown
        print("epoch 2", file=sys.stderr)  # noqa: T201 - the same
        raise ArithmeticError("diverged", rate)

    run = await submit(bench, call(abs, 1), call(train, rate=0.5), call(abs, 2))
    done = await bench.ended(run)
    first, failed, third = done.outcomes
    assert [one.kind for one in (first, failed, third)] == [
        OutcomeKind.COMPLETED,
        OutcomeKind.ERROR,
        OutcomeKind.COMPLETED,
    ]
    assert (failed.attempts, failed.reason) == (1, "WorkerError")
    assert failed.message == "ArithmeticError: ('diverged', 0.5)"
    got = await error(bench, done, failed)
    assert type(got) is ArithmeticError
    assert got.args == ("diverged", 0.5)
    assert type(got.__cause__) is _RemoteTraceback
    where, printed = got.__notes__
    assert where.startswith("train(rate=0.5): element 1 of task job, execution 1 of 2, pod ")
    assert printed == "it printed last:\nepoch 1\nepoch 2"


async def test_an_exception_that_is_named_is_tried_again(bench: Bench, python: Pod, tmp_path: Path) -> None:
    def flaky(mark: Path) -> int:
        if not mark.exists():
            mark.touch()
            raise ConnectionResetError("once")
        return current_task().attempt

    def never() -> None:
        raise ConnectionResetError("always")

    sent = encode_call(prepare_function(flaky), (tmp_path / "mark",), retry_on=(OSError,))
    always = encode_call(prepare_function(never), retry_on=(OSError,))
    done = await bench.ended(await submit(bench, sent, always))
    flaked, failed = done.outcomes
    assert await value(bench, done, flaked) == 2
    assert (failed.reason, failed.attempts) == ("AttemptsExhausted", 2)
    got = await error(bench, done, failed)
    assert type(got) is ConnectionResetError
    assert "execution 2 of 2" in got.__notes__[0]


async def test_sub_tasks_make_the_output(bench: Bench, python: Pod) -> None:
    def parent(n: int) -> Any:
        task = current_task()
        return task.submit(sum, task.map(lambda i: i * i, range(n)))

    run = await submit(bench, call(parent, 5))
    done = await bench.ended(run)
    outcome = done.outcomes[0]
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert outcome.delegated == (result_id(run.task, 0, "result"),)
    (child,) = done.children
    lines = (await bench.store.get(DataRef(key=child.items))).splitlines()
    assert child.count == len(lines) == 6
    last = ManifestItem.model_validate_json(lines[-1])
    assert [dependency.result for dependency in last.depends_on or ()] == [
        ManifestItem.model_validate_json(line).output_ids[0]
        for line in lines[:5]  # type: ignore[index]
    ]


# Bad input.


def exits() -> None:
    os._exit(3)


def crashes() -> None:
    ctypes.string_at(0)


def sleeps() -> None:
    time.sleep(3600)


def forks() -> str:
    """Both copies return; the element is the original's."""
    return "child" if os.fork() == 0 else "parent"


def closes() -> int:
    for number in (0, 1, 2):
        os.close(number)
    return 7


def prints() -> None:
    line = "x" * 1023
    for _ in range(100 * 1024):
        print(line)  # noqa: T201 - that much
    raise ValueError("after 100 MiB")


@pytest.mark.parametrize(
    ("function", "reason", "text", "attempts"),
    [
        (exits, "AttemptsExhausted", "ended with code 3", 2),
        (crashes, "AttemptsExhausted", "was killed by SIGSEGV", 2),
        (sleeps, "MaxDurationExceeded", "longer than 2 s", 1),
    ],
)
async def test_what_ends_the_process_harms_no_neighbour(
    bench: Bench, python: Pod, function: Callable[[], Any], reason: str, text: str, attempts: int
) -> None:
    run = await submit(bench, call(abs, -1), by_value(function), call(abs, -3), seconds=2)
    done = await bench.ended(run)
    first, bad, third = done.outcomes
    assert (bad.reason, bad.attempts, bad.error) == (reason, attempts, None)
    assert text in bad.message
    assert [await value(bench, done, one) for one in (first, third)] == [1, 3]


async def test_a_function_may_fork_and_close_its_streams(bench: Bench, python: Pod) -> None:
    run = await submit(bench, by_value(forks), by_value(closes), call(abs, -3))
    done = await bench.ended(run)
    assert [await value(bench, done, one) for one in done.outcomes] == ["parent", 7, 3]


async def test_a_function_that_prints_100_mib_fails_with_its_last_lines(bench: Bench, python: Pod) -> None:
    run = await submit(bench, by_value(prints), call(abs, -3))
    done = await bench.ended(run)
    got = await error(bench, done, done.outcomes[0])
    assert str(got) == "after 100 MiB"
    assert 1 < got.__notes__[1].count("\n") < 21
    assert await value(bench, done, done.outcomes[1]) == 3


def by_value(function: Callable[..., Any]) -> Packed:
    """As a function of a script: its code travels."""
    module = types.ModuleType("__main__")
    made = types.FunctionType(function.__code__, vars(module) | {"os": os, "time": time, "ctypes": ctypes})
    made.__module__, made.__qualname__ = "__main__", function.__name__
    return call(made)


async def test_what_cannot_be_decoded_is_final_and_says_what_to_do(bench: Bench, python: Pod) -> None:
    module = types.ModuleType("not_in_the_image")
    exec("def f(): pass", vars(module))
    sys.modules["not_in_the_image"] = module
    missing = bytes(call(module.f))
    del sys.modules["not_in_the_image"]
    damaged = bytearray(bytes(call(abs, -1)))
    damaged[-1] ^= 1
    other = bytes(call(lambda: 1)).replace(b'"py":"3.', b'"py":"9.')
    done = await bench.ended(await submit(bench, missing, bytes(damaged), b"no envelope", resummed(other)))
    assert [(one.kind, one.attempts) for one in done.outcomes] == [(OutcomeKind.ERROR, 1)] * 4
    absent, broken, foreign, python_of_others = [await error(bench, done, one) for one in done.outcomes]
    assert isinstance(absent, ModuleNotFoundError)
    assert "send the module with code=[…]" in absent.__notes__[1]
    assert isinstance(broken, EnvelopeDamaged)
    assert "SHA-256 differs" in str(broken)
    assert isinstance(foreign, EnvelopeDamaged)
    assert isinstance(python_of_others, PythonMismatch)


def resummed(data: bytes) -> bytes:
    """With the right sum: as another Python would have made it."""
    import hashlib

    blank = data[:19] + b"0" * 64 + data[83:]
    return data[:19] + hashlib.sha256(blank).hexdigest().encode() + data[83:]


async def test_what_a_function_returns_must_be_picklable(bench: Bench, python: Pod) -> None:
    def locks() -> Any:
        import threading

        return {"lock": threading.Lock()}

    done = await bench.ended(await submit(bench, call(locks)))
    got = await error(bench, done, done.outcomes[0])
    assert "item 'lock', a _thread.lock" in str(got)
    assert done.outcomes[0].attempts == 1


async def test_the_agent_reports_what_its_worker_is(bench: Bench, pods: Pods, nats_client: Client) -> None:
    reported = await nats_client.subscribe(event_subject("ns", WORKER_ABOUT))
    pod = pods.start(script=COMMAND)
    event = PodEvent.model_validate_json((await reported.next_msg(timeout=60)).data)
    assert event.pod == pod.uid
    assert event.worker is not None
    assert event.worker.kind == "functions"
    assert event.worker.python == here().py
    assert (event.worker.sdk, event.worker.cloudpickle) == (here().sdk, here().cloudpickle)
    assert event.worker.platform


async def test_functions_import_from_the_environment_of_their_task(
    bench: Bench, python: Pod, tmp_path: Path
) -> None:
    """Two Tasks with modules of one name: each gets its own, whatever ran before in the pod."""
    got = []
    for factor in (2, 3, 2):
        folder = tmp_path / str(len(got))
        folder.mkdir()
        (folder / "of_the_user.py").write_text(f"def times(x):\n    return x * {factor}\n")
        made = archive(named_sources([folder / "of_the_user.py"]), folder)
        place = await bench.put(made.path.read_bytes())
        options = TaskOptions(environment=Environment(object=place.key, sha256=made.file_sha256))
        sent = encode_call(Function("of_the_user:times", "of_the_user:times", None, None, None), (7,))
        given = await element(bench, sent)
        done = await bench.ended(await bench.submit("", elements={0: given}, options=options))
        got.append(await value(bench, done, done.outcomes[0]))
    assert got == [14, 21, 14]


async def test_an_environment_that_is_missing_ends_its_elements(bench: Bench, python: Pod) -> None:
    key = (await bench.put(b"x")).key + "-deleted"
    options = TaskOptions(environment=Environment(object=key, sha256="0" * 64))
    given = await element(bench, call(abs, -1))
    done = await bench.ended(await bench.submit("", elements={0: given}, options=options))
    assert done.outcomes[0].reason == "InputMissing"
