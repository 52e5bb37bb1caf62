"""Our own worker, which takes a whole run in one call, beside the agent, on real servers."""

import uuid
from functools import partial
from pathlib import Path

import pytest
from agent_bench import Bench, Pod, Pods
from servers import as_role
from test_agent_down import AgentProcess

from armonik_agent import pipeline
from armonik_agent.execution import run_execution
from armonik_agent.executors.run_frames import SILENCE_SECONDS
from armonik_agent.worker import client
from armonik_agent.worker.run_stream import RunCalls
from armonik_sdk.api.kinds import ObjectRef, TaskOptions
from armonik_sdk.api.messages import ElementSpec, ManifestItem
from armonik_sdk.api.names import control_key, pod_key, result_id
from armonik_sdk.api.records import Control, DesiredState, OutcomeKind, Owner, Record, RecordKind
from armonik_sdk.dataplane.credentials import Credentials

pytestmark = pytest.mark.integration


@pytest.fixture
async def own(pods: Pods) -> Pod:
    return pods.start(script="agent_function.py")


async def elements(bench: Bench, *payloads: str) -> dict[int, ElementSpec]:
    """Elements with payloads of their own."""
    found = {}
    for index, payload in enumerate(payloads):
        ref = await bench.put(payload.encode())
        found[index] = ElementSpec(payload=ObjectRef(key=ref.key, length=ref.length))
    return found


async def test_a_whole_run_is_executed(bench: Bench, own: Pod) -> None:
    run = await bench.submit("hello", end=500)
    done = await bench.ended(run)
    assert done.kind is RecordKind.DONE
    assert done.manifest is None, "the record of as many as the operator puts into a run has room for it"
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.COMPLETED}
    assert len(done.outcomes) == 500
    assert await bench.store.get(done.ref(done.outcomes[499].outputs["result"])) == b"hello|"
    assert all(outcome.printed is not None for outcome in done.outcomes)


@pytest.mark.parametrize(
    ("payload", "reason", "attempts", "text"),
    [
        ("error", "WorkerError", 1, "refused by the worker"),
        ("nothing", "OutputMissing", 1, "never written"),
        ("raise", "AttemptsExhausted", 2, "RuntimeError: crashed"),
        ("exit", "AttemptsExhausted", 2, "ended with code 3"),
        ("die", "AttemptsExhausted", 2, "was killed by SIGKILL"),
    ],
)
async def test_each_kind_of_failure_is_distinguished_and_harms_no_neighbour(
    bench: Bench, own: Pod, payload: str, reason: str, attempts: int, text: str
) -> None:
    given = await elements(bench, "one", payload, "three")
    run = await bench.submit("", end=3, elements=given, options=TaskOptions(max_retries=1))
    first, second, third = (await bench.ended(run)).outcomes
    assert (second.kind, second.reason, second.attempts) == (OutcomeKind.ERROR, reason, attempts)
    assert text in second.message
    assert [(o.kind, o.attempts) for o in (first, third)] == [(OutcomeKind.COMPLETED, 1)] * 2


async def test_what_elements_print_is_kept_with_their_outcomes(bench: Bench, own: Pod) -> None:
    """In one object with the outputs, which is all that the run leaves; also of one that was killed."""
    given = await elements(bench, *["large " * 100] * 100, "die", "error")
    run = await bench.submit("", end=102, elements=given, options=TaskOptions(max_retries=0))
    done = await bench.ended(run)
    for outcome in done.outcomes:
        assert outcome.printed is not None
        text = (await bench.store.get(done.ref(outcome.printed))).decode()
        assert text.startswith(f"element {outcome.index}\n")
    objects = {done.objects[p.object] for o in done.outcomes for p in o.pieces if p.object is not None}
    assert objects == set(done.objects)
    outputs = {p.object for o in done.outcomes for p in o.outputs.values()}
    assert outputs == {o.printed.object for o in done.outcomes if o.printed is not None}


async def test_a_failed_element_is_tried_again_and_the_others_are_not(bench: Bench, own: Pod) -> None:
    given = await elements(bench, "one", "once raise", "three", "once exit", "five")
    run = await bench.submit("", end=5, elements=given)
    done = await bench.ended(run)
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.COMPLETED}
    assert [outcome.attempts for outcome in done.outcomes] == [1, 2, 1, 2, 1]


async def test_inputs_and_outputs_of_any_size_travel(bench: Bench, own: Pod) -> None:
    large = await bench.put(b"l" * 100_000)
    small = await bench.put(b"small")
    run = await bench.submit(
        "",
        end=2,
        elements=await elements(bench, "big", "hello"),
        outputs=("a", "b"),
        dependencies=("large", "small"),
        locators={"large": large, "small": small},
    )
    done = await bench.ended(run)
    first, second = done.outcomes
    assert await bench.store.get(done.ref(first.outputs["a"])) == b"b" * 100_000
    assert await bench.store.get(done.ref(second.outputs["b"])) == b"hello|" + b"l" * 100_000 + b"small"


async def test_an_element_over_its_limit_ends_alone(bench: Bench, own: Pod) -> None:
    given = await elements(bench, "one", "sleep", "three")
    run = await bench.submit("", end=3, elements=given, options=TaskOptions(max_duration_seconds=1))
    done = await bench.ended(run)
    kinds = [OutcomeKind.COMPLETED, OutcomeKind.TIMEOUT, OutcomeKind.COMPLETED]
    assert [outcome.kind for outcome in done.outcomes] == kinds
    assert done.outcomes[1].reason == "MaxDurationExceeded"
    assert done.epoch == 1
    assert own.count("fenced_total") == 0


async def test_a_cancelled_element_is_stopped_and_the_others_continue(bench: Bench, own: Pod) -> None:
    given = await elements(bench, "hold it", "two", "three")
    run = await bench.submit("", end=3, elements=given)
    await own.worker.holds("it")
    head = await bench.reached(run, RecordKind.DISPATCHED)
    note = {"record_id": uuid.uuid4().hex, "kind": RecordKind.CANCEL_REQUESTED, "cancel": "0,2"}
    await bench.journal.append(run, head.record.model_copy(update=note), head.sequence)
    told = Control(state=DesiredState.RUNNING, generation=2)
    await bench.control.put(control_key("ns", run.task), told)
    done = await bench.ended(run)
    kinds = [OutcomeKind.CANCELLED, OutcomeKind.COMPLETED, OutcomeKind.CANCELLED]
    assert [outcome.kind for outcome in done.outcomes] == kinds
    assert done.epoch == 1  # the worker continues, and so does the run


async def test_a_cancelled_session_ends_what_runs_and_the_worker_takes_the_next(
    bench: Bench, own: Pod
) -> None:
    run = await bench.submit("hold it", end=3)
    await own.worker.holds("it")
    await bench.want(run, DesiredState.CANCELLED)
    done = await bench.ended(run)
    assert {outcome.kind for outcome in done.outcomes} == {OutcomeKind.CANCELLED}
    after = await bench.ended(await bench.submit("hello"))
    assert (after.epoch, after.outcomes[0].kind) == (1, OutcomeKind.COMPLETED)


async def test_a_worker_that_ends_is_charged_to_nobody_and_the_rest_continues(bench: Bench, own: Pod) -> None:
    given = await elements(bench, "one", "hold it", "three")
    run = await bench.submit("", end=3, elements=given)
    await own.worker.holds("it")
    own.worker.end(kill=True)
    own.worker.let("it", "let")
    own.worker.start()
    done = await bench.ended(run)
    assert [(o.kind, o.attempts) for o in done.outcomes] == [(OutcomeKind.COMPLETED, 1)] * 3
    assert await bench.store.get(done.ref(done.outcomes[1].outputs["result"])) == b"let"


@pytest.mark.parametrize(
    "payload",
    ["unknown", "no list", "no blob", "no number", "not a number", "infinite", "negative", "no frame"],
)
async def test_an_answer_that_was_not_agreed_is_charged_to_its_element(
    bench: Bench, pods: Pods, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After each try the worker is to be replaced, which nobody does: it is asked again after this time.
    for module, name in (
        (client, "CONDEMNED_SECONDS"),
        (pipeline, "DOWN_SECONDS"),
        (run_execution, "LOST_DELAY"),
    ):
        monkeypatch.setattr(module, name, 0.3)
    pods.start(script="agent_strange.py")
    given = await elements(bench, "one", payload, "three")
    done = await bench.ended(
        await bench.submit("", end=3, elements=given, options=TaskOptions(max_retries=1))
    )
    first, second, third = done.outcomes
    assert (first.kind, third.kind) == (OutcomeKind.COMPLETED, OutcomeKind.COMPLETED)
    assert (second.kind, second.reason, second.attempts) == (OutcomeKind.ERROR, "AttemptsExhausted", 2)


@pytest.mark.parametrize("payload", ["for ages", "beyond floats"])
async def test_how_long_an_element_took_is_never_believed_beyond_its_limit(
    bench: Bench, pods: Pods, payload: str
) -> None:
    """The sum of two such numbers was infinite, and kept all Tasks of the Session from being queued."""
    pods.start(script="agent_strange.py")
    given = await elements(bench, "one", payload, "three")
    limit = TaskOptions(max_duration_seconds=7)
    done = await bench.ended(await bench.submit("", end=3, elements=given, options=limit))
    assert [(o.kind, o.attempts) for o in done.outcomes] == [(OutcomeKind.COMPLETED, 1)] * 3
    assert done.outcomes[1].seconds == 7 + SILENCE_SECONDS


async def test_a_run_taken_over_after_a_death_continues_with_care(bench: Bench, own: Pod) -> None:
    await bench.control.put(pod_key("ns", "dead"), Control(state=DesiredState.GONE))
    owner = Owner(pod="dead", process="x")
    taken = {"kind": RecordKind.DISPATCHED, "owner": owner, "epoch": 1}
    given = await elements(bench, "one", "once exit", "three")
    run = await bench.submit("", end=3, elements=given, head=taken)
    done = await bench.ended(run)
    assert [(o.kind, o.attempts) for o in done.outcomes] == [
        (OutcomeKind.COMPLETED, 1),
        (OutcomeKind.COMPLETED, 2),
        (OutcomeKind.COMPLETED, 1),
    ]
    # Submitted, the death's, Dispatched, one before each of four executions, the last.
    assert await bench.records(run) >= 8


async def test_the_run_of_an_agent_that_was_killed_continues_at_another(
    bench: Bench, pods: Pods, folder: Path, credentials: Credentials
) -> None:
    given = await elements(bench, "one", "two", "hold it", "four")
    agent = AgentProcess(folder, as_role(credentials, "agent"), "agent_function.py")
    agent.worker.start()
    agent.start()
    try:
        run = await bench.submit("", end=4, elements=given)
        await agent.worker.holds("it")
    finally:
        agent.end()
    await bench.control.put(pod_key("ns", agent.uid), Control(state=DesiredState.GONE))
    other = pods.start(script="agent_function.py")
    other.worker.let("it", "let")
    done = await bench.ended(run)
    assert [(o.kind, o.attempts) for o in done.outcomes] == [(OutcomeKind.COMPLETED, 1)] * 4
    assert done.epoch == 2


async def test_a_drained_agent_takes_back_what_has_not_begun(bench: Bench, pods: Pods, own: Pod) -> None:
    given = await elements(bench, "one", "hold it")
    run = await bench.submit("doze", end=100, elements=given)
    await own.worker.holds("it")
    own.drain.begin()
    own.worker.let("it", "let")
    head = await bench.reached(run, RecordKind.RELEASED)
    left = head.record.remaining
    assert left == tuple(range(100 - len(left), 100))
    assert 0 < len(left) <= 98
    assert head.record.attempts == ()


async def test_what_an_element_says_reaches_the_log_with_its_task(bench: Bench, own: Pod) -> None:
    run = await bench.submit("hello", end=3)
    await bench.ended(run)
    said = (own.folder / "worker.log").read_text().splitlines()
    assert [line for line in said if line.startswith("[")] == [
        f"[{run.task}.{index}] element {index}" for index in range(3)
    ]


async def by_element(_: RunCalls) -> bool:
    """What a worker of ArmoniK's own answers."""
    return False


@pytest.mark.parametrize("whole", [True, False], ids=["whole runs", "element by element"])
async def test_sub_tasks_ride_with_the_success_of_their_element(
    bench: Bench, own: Pod, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    if not whole:
        monkeypatch.setattr(RunCalls, "served", by_element)
    small = await bench.put(b"small")
    given = await elements(bench, "one", "parent 1 2", "unkept 1 2")
    run = await bench.submit(
        "", end=3, elements=given, outputs=("a", "b"), dependencies=("small",), locators={"small": small}
    )
    done = await bench.ended(run)
    first, parent, unkept = done.outcomes
    assert [outcome.kind for outcome in (first, parent)] == [OutcomeKind.COMPLETED] * 2
    assert (unkept.kind, unkept.message) == (OutcomeKind.ERROR, "refused after it has submitted")
    handed = result_id(run.task, 1, "a")
    assert parent.delegated == (handed,)
    assert await bench.store.get(done.ref(parent.outputs["b"])) == b"own"

    assert {(group.element, group.count, group.priority) for group in done.children} == {(1, 1, 7), (1, 3, 0)}
    items = {}
    for group in done.children:
        listed = await bench.store.get(ObjectRef(key=group.items))
        found = [ManifestItem.model_validate_json(line) for line in listed.splitlines()]
        items[group.priority] = found
    one, two, last = items[0]
    (long,) = items[7]
    payload = partial(content, bench, done)
    assert [await payload(1, item) for item in (one, two, last)] == [b"1", b"2", b"sum"]
    assert await payload(1, long) == b"l" * 100_000
    assert long.options is not None
    assert long.options.options == {"colour": "green"}
    assert last.output_ids == [handed]
    made = [(item.output_ids or [""])[0] for item in (one, two, long)]
    assert len(set(made)) == 3
    assert [needed.result for needed in last.depends_on or ()] == [*made, "small"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole runs", "element by element"])
async def test_sub_tasks_that_cannot_be_are_an_error_of_their_element_alone(
    bench: Bench, own: Pod, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    if not whole:
        monkeypatch.setattr(RunCalls, "served", by_element)
    run = await bench.submit("", end=3, elements=await elements(bench, "one", "impossible", "three"))
    done = await bench.ended(run)
    first, second, third = done.outcomes
    assert (second.kind, second.attempts) == (OutcomeKind.ERROR, 1)
    assert "sub-task" in second.message
    assert "priority" in second.message
    assert [(o.kind, o.attempts) for o in (first, third)] == [(OutcomeKind.COMPLETED, 1)] * 2
    assert done.children == ()


async def content(bench: Bench, done: Record, index: int, item: ManifestItem) -> bytes | None:
    """The payload of a sub-task: in its manifest, or a result that its parent made."""
    assert item.payload is not None
    if item.payload.result is None:
        return item.payload.content()
    return await bench.store.get(done.ref(done.outcomes[index].made[item.payload.result]))


async def test_it_works_element_by_element_for_an_agent_that_knows_no_runs(
    bench: Bench, own: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ArmoniK's own agent calls it."""
    monkeypatch.setattr(RunCalls, "served", by_element)
    given = await elements(bench, "one", "error", "once exit", "big")
    run = await bench.submit("", end=4, elements=given, outputs=("a",))
    done = await bench.ended(run)
    assert [(o.kind, o.attempts) for o in done.outcomes] == [
        (OutcomeKind.COMPLETED, 1),
        (OutcomeKind.ERROR, 1),
        (OutcomeKind.COMPLETED, 2),
        (OutcomeKind.COMPLETED, 1),
    ]
    assert done.outcomes[1].message == "refused by the worker"
    assert await bench.store.get(done.ref(done.outcomes[0].outputs["a"])) == b"one|"
    assert await bench.store.get(done.ref(done.outcomes[3].outputs["a"])) == b"b" * 100_000
