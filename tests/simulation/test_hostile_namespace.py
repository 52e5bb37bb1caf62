"""A namespace whose children are refused, whose store hangs and whose clients send junk beside a good one."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from armonik_operator.clients.kube import SESSIONS, TASKS, Kind
from armonik_operator.errors import KubeError
from armonik_sdk.api.const import GROUP_VERSION, SESSION_FINALIZER
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.names import JOURNAL, RunId, result_journal
from armonik_sdk.api.records import ChildGroup, Outcome, OutcomeKind, Record, RecordKind
from simulation.kube import Object
from simulation.world import World

HOSTILE = "hostile"
TASKS_BLOCKED = 12
RUNS = 10
JUNK = 300
TASKS_HANGING = 20
WORK = 60
QUOTA = {"reason": "Forbidden", "message": "exceeded quota: count/tasks"}


def test_a_hostile_namespace_slows_down_no_other() -> None:
    with World(seed=7, pods=2) as alone:
        undisturbed = _work(alone, lambda: None)
    with World(seed=7, pods=2) as world:
        _refuse_children(world)
        session = _prepare(world)
        beside = _work(world, lambda: _attack(world, session))
        assert _blocked(world) > 0
    assert beside <= 1.2 * undisturbed


def test_work_of_others_is_done_after_a_restart_beside_a_hostile_namespace() -> None:
    with World(seed=7, pods=2) as world:
        _refuse_children(world)
        session = _prepare(world)
        world.until("it works", lambda: JOURNAL in world.nats.streams)
        _attack(world, session)
        world.until("it is blocked", lambda: _blocked(world) > 0)
        world.run(world.kill_operator())
        _work(world, lambda: None)


def _work(world: World, disturb: Callable[[], None]) -> float:
    """Virtual seconds that a Task takes."""
    world.create_session("session")
    world.passes(5.0)
    disturb()
    started = world.loop.time()
    world.create_task("work", "session", count=WORK, options={"options": {"seconds": "0.5"}})
    world.until("all is done", lambda: _phase(world) == "Completed", patience=300)
    return world.loop.time() - started


def _blocked(world: World) -> int:
    """Tasks that say that their children are refused."""
    tasks = [obj for key, obj in world.kube.objects.items() if key[:2] == ("tasks", HOSTILE)]
    said = [said for task in tasks for said in task.get("status", {}).get("conditions", ())]
    return sum(each["type"] == "ChildrenBlocked" for each in said)


def _phase(world: World) -> str:
    return str(world.tasks()["work"].get("status", {}).get("phase"))


def _refuse_children(world: World) -> None:
    """The namespace's quota is used up, and its part of the store does not answer."""
    create, get = world.kube.create, world.store.get

    async def refuse(kind: Kind, body: Object, namespace: str | None = None, **options: Any) -> Object:
        if namespace == HOSTILE and kind is TASKS and body["metadata"]["name"].startswith("refused"):
            raise KubeError(403, QUOTA, "tasks")
        return await create(kind, body, namespace, **options)

    async def hang(ref: ObjectRef) -> bytes:
        if str(ref.key).startswith(f"{HOSTILE}/hang"):
            await asyncio.sleep(3600.0)
        return await get(ref)

    world.kube.create, world.store.get = refuse, hang  # type: ignore[method-assign]


def _prepare(world: World) -> str:
    """UID of the hostile Session. Its Tasks are of a partition that does not exist."""
    names = [f"blocked-{at}" for at in range(TASKS_BLOCKED)] + [f"hang-{at}" for at in range(TASKS_HANGING)]

    async def create() -> str:
        meta = {"name": "session", "finalizers": [SESSION_FINALIZER]}
        spec: Object = {"partitions": ["none"], "desiredState": "Running"}
        made = await world.kube.create(SESSIONS, _body("Session", meta, spec), HOSTILE)
        for name in names:
            spec = {"session": "session", "count": RUNS, "desiredState": "Active"}
            await world.kube.create(TASKS, _body("Task", {"name": name}, spec), HOSTILE)
        return str(made["metadata"]["uid"])

    return world.run(create())


def _body(kind: str, meta: Object, spec: Object) -> Object:
    return {"apiVersion": GROUP_VERSION, "kind": kind, "metadata": meta, "spec": spec}


def _attack(world: World, session: str) -> None:
    """All that the passwords of the namespace allow, at once."""
    world.store.objects[f"{HOSTILE}/items"] = b'{"payload": {"inline": "x"}}\n'
    tasks = [
        (k[2], o["metadata"]["uid"]) for k, o in world.kube.objects.items() if k[:2] == ("tasks", HOSTILE)
    ]
    for name, uid in tasks:
        hangs = name.startswith("hang")
        items, kind = (f"{HOSTILE}/hang", "hangs") if hangs else (f"{HOSTILE}/items", "refused")
        for start in range(RUNS):
            child = ChildGroup(name=f"{kind}-{uid[:8]}-{start}", element=start, group=0, count=1, items=items)
            ended = Outcome(index=start, kind=OutcomeKind.COMPLETED)
            record = Record(
                record_id=uuid.uuid4().hex,
                kind=RecordKind.DONE,
                start=start,
                end=start + 1,
                n=1,
                outcomes=(ended,),
                children=(child,),
            )
            _say(world, RunId(HOSTILE, session, uid, start).journal, record.encode())
    for _ in range(JUNK):
        unknown = uuid.uuid4().hex
        _say(world, result_journal(HOSTILE, unknown, "r"), b'{"recordId":"r","kind":"Created"}')
        _say(world, RunId(HOSTILE, unknown, unknown, 0).journal, b'{"recordId":"r","kind":"Submitted"}')


def _say(world: World, subject: str, data: bytes) -> None:
    world.nats._store(world.nats.streams[JOURNAL], subject, "", {}, data)
