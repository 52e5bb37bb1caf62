"""Rows about manifests and statuses, at the apiserver and in client and operator."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from bounds_world import Case, World, refused
from manifests import session, task

from armonik_operator.journal.fold import TaskFold
from armonik_operator.planning.task import Readiness, TaskView, plan
from armonik_operator.status.task import intervals_too_long
from armonik_sdk.api import bounds
from armonik_sdk.api.kinds import Partition, Session, Task, TaskOptions, condition
from armonik_sdk.api.ranges import Ranges
from armonik_sdk.api.records import Outcome, OutcomeKind
from armonik_sdk.client.errors import Refused
from armonik_sdk.client.manifest import Draft
from armonik_sdk.client.manifest import plan as planned
from armonik_sdk.client.results.client_result import create_results
from armonik_sdk.client.transport.data_plane import DataPlane

NONE: Any = None


def at_apiserver(world: World, manifest: dict[str, Any], field: str) -> str:
    """Create it; a refusal names the field."""
    path = f"{world.api.path(manifest['kind'])}?fieldValidation=Strict"
    code, body = world.api.server.request("POST", path, manifest)
    if code == 201:
        return "accepted"
    assert code == 422, body
    assert field in {cause["field"] for cause in body["details"]["causes"]}, body["message"][:500]
    return "refused"


async def spec(_: World, extra: int) -> str:
    def drafted(size: int) -> Any:
        texts = ["x" * 24_000] * 5 + ["y" * size]
        return planned(Draft("ns", "demo", "", "t", "abc", items=[text.encode() for text in texts]))

    most = bounds.MAX_SPEC_BYTES - 1024  # the rest is for what the apiserver adds
    around = len(task_bytes(drafted(1).task)) - 1
    made = drafted(most + extra - around)
    return "accepted" if not made.uploads else "spilled"


def task_bytes(made: Task) -> bytes:

    return json.dumps(made.to_object()["spec"]).encode()


async def payload(world: World, extra: int) -> str:
    text = "é" * (bounds.MAX_INLINE_BYTES // 2 - 1) + "x" * (2 + extra)
    return at_apiserver(world, task({"payload": {"inline": text}}), "spec.payload.inline")


async def item_text(world: World, extra: int) -> str:
    items = [{"payload": {"inline": "x" * (bounds.MAX_ITEM_TEXT + extra)}}]
    return at_apiserver(world, task({"items": items}), "spec.items[0].payload.inline")


async def items(world: World, extra: int) -> str:
    return at_apiserver(world, task({"items": [{}] * (bounds.MAX_ITEMS + extra)}), "spec.items")


async def elements(world: World, extra: int) -> str:
    return at_apiserver(world, task({"count": bounds.MAX_ELEMENTS + extra}), "spec.count")


async def outputs(world: World, extra: int) -> str:
    names = [f"o{number}" for number in range(bounds.MAX_OUTPUTS + extra)]
    return at_apiserver(world, task({"outputs": names}), "spec.outputs")


async def dependencies(world: World, extra: int) -> str:
    needed = [{"result": f"r{number}"} for number in range(bounds.MAX_DEPENDENCIES + extra)]
    return at_apiserver(world, task({"dependsOn": needed}), "spec.dependsOn")


async def item_dependencies(world: World, extra: int) -> str:
    needed = [{"result": f"r{number}"} for number in range(bounds.MAX_ITEM_DEPENDENCIES + extra)]
    return at_apiserver(world, task({"items": [{"dependsOn": needed}]}), "spec.items[0].dependsOn")


async def cancelled(world: World, extra: int) -> str:
    named = [str(number) for number in range(bounds.MAX_CANCELLED + extra)]
    return at_apiserver(world, task({"count": 5_000, "cancelledIndexes": named}), "spec.cancelledIndexes")


async def options(world: World, extra: int) -> str:
    settings = {f"a{number}": "x" for number in range(bounds.MAX_OPTIONS + extra)}
    happened = at_apiserver(world, task({"options": {"options": settings}}), "spec.options.options")
    first = dict(list(settings.items())[:1])
    rest = dict(list(settings.items())[1:])
    assert refusal({"options": rest}, {"options": first}) == (extra > 0)
    return happened


def refusal(own: dict[str, Any], defaults: dict[str, Any]) -> bool:
    """Whether the operator's plan refuses these options together, with the field's name."""
    of = {"metadata": {"name": "t", "uid": "t"}, "spec": {"session": "s", "options": own}}
    whose = {
        "metadata": {"name": "s", "uid": "s"},
        "spec": {"partitions": ["p"], "taskDefaults": defaults},
    }
    where = {
        "metadata": {"name": "p", "uid": "p"},
        "spec": {"podMax": 1, "template": {"spec": {"worker": {"image": "w"}}}},
    }
    objects = Task.from_object(of), Session.from_object(whose)
    view = TaskView.of(*objects, TaskFold(), TaskOptions(), lambda _: Partition.from_object(where))
    made = plan(view, Readiness(), TaskOptions())
    assert made.refusal is None or "spec.options.options" in made.refusal.message
    return made.refusal is not None


async def option(world: World, extra: int) -> str:
    settings = {"a": "x" * (bounds.MAX_OPTION_TEXT + extra)}
    return at_apiserver(world, task({"options": {"options": settings}}), "spec.options.options.a")


async def all_options(_: World, extra: int) -> str:
    settings = {f"a{number}": "x" * 4_094 for number in range(bounds.MAX_OPTIONS_BYTES // 4_096)}
    settings["a0"] = "x" * (4_094 + min(extra, 0))
    more = {"options": {"b": ""}} if extra > 0 else {}
    return "refused" if refusal({"options": settings}, more) else "accepted"


async def label(world: World, extra: int) -> str:
    name = "n" * (bounds.MAX_LABEL + extra)
    happened = {
        at_apiserver(world, task({}, name), "metadata.name"),
        at_apiserver(world, session({}, name), "metadata.name"),
        at_apiserver(world, task({"outputs": [name]}, "o"), "spec.outputs[0]"),
    }
    (only,) = happened
    return only


async def partition(world: World, extra: int) -> str:
    names = ["p" * (bounds.MAX_PARTITION_NAME + extra)]
    return at_apiserver(world, session({"partitions": names}), "spec.partitions[0]")


async def result_name(world: World, extra: int) -> str:
    async def link() -> DataPlane:
        return DataPlane(world.client, world.store, [])

    name = "n" * (bounds.MAX_RESULT_NAME + extra)
    connection: Any = SimpleNamespace(link=link)
    try:
        await create_results(connection, "ns", "session-uid", [name], manual_deletion=False)
    except Refused as error:
        return refused(error, "names:")
    return "accepted"


async def message(world: World, extra: int) -> str:
    text = "é" * (bounds.MAX_MESSAGE + extra)
    made = condition("Ready", False, "Pending", text, generation=1, now=datetime(2026, 1, 1, tzinfo=UTC))
    world.api.create(task({}))
    world.api.accepted("Task", "t", {"status": {"conditions": [made.to_object()]}}, "status")
    return "accepted" if made.message == text else "cut"


def folded(outcomes: list[Outcome]) -> TaskFold:
    fold = TaskFold()
    fold._keep_failures({outcome.index: outcome for outcome in outcomes})
    return fold


async def failures(world: World, extra: int) -> str:
    count = bounds.MAX_FAILURES + extra
    made = folded([Outcome(index=i, kind=OutcomeKind.ERROR, message="é" * 2_000) for i in range(count)])
    said = [failure.to_object() for failure in made.failures.values()]
    world.api.create(task({"count": 50}))
    world.api.accepted("Task", "t", {"status": {"failures": said}}, "status")
    return "accepted" if len(said) == count else "cut"


async def intervals(world: World, extra: int) -> str:
    indexes = list(range(1_000, 1_000 + 2 * 3_277, 2))
    indexes[-1] = {-1: 100, 0: indexes[-1], 1: 20_000}[extra]
    fold: Any = SimpleNamespace(outcomes={OutcomeKind.COMPLETED: Ranges.indexes(indexes)})
    text = str(fold.outcomes[OutcomeKind.COMPLETED])
    assert len(text) == bounds.MAX_INTERVALS + extra
    world.api.create(task({"count": 50_000}))
    code, _ = world.api.patch("Task", "t", {"status": {"succeededIndexes": text}}, "status")
    assert (code == 200) == (extra <= 0)
    return "spilled" if intervals_too_long(fold) else "accepted"


CASES: dict[str, Case] = {
    "spec of a Task that a client sends": spec,
    "payload in a manifest": payload,
    "`inline` of an item, in characters": item_text,
    "items in a manifest": items,
    "elements of a Task": elements,
    "outputs of an element": outputs,
    "dependencies of a Task, and of a line of an object of items": dependencies,
    "dependencies of an item in a manifest": item_dependencies,
    "intervals of elements to cancel": cancelled,
    "free settings (`options.options`), also with those that are inherited": options,
    "one free setting, in characters": option,
    "all free settings in force, with their names": all_options,
    "name of a Session, a Task or an output, in characters": label,
    "name of a Partition, in characters": partition,
    "name of a result that a client makes, in characters": result_name,
    "message of a condition, an Event or a failure, in characters": message,
    "failures in a status": failures,
    "intervals of elements in a status, all together, in characters": intervals,
}
