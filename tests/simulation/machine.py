"""The adversary: users and faults in any order, as Hypothesis draws them, and peace at the end."""

import json
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from armonik_sdk.api.kinds import Task
from armonik_sdk.api.names import JOURNAL, QUEUE, RunId
from armonik_sdk.api.records import Record
from armonik_sdk.api.results import ResultState
from simulation.invariants import (
    Watcher,
    check_quiet,
    entry_of,
    left_behind,
    pins_of,
    runs,
    sums_agree,
    unsettled_results,
)
from simulation.world import Pod, World

PEACE = 1_800
"""Virtual seconds within which everything must have ended once nothing goes wrong any more."""
COLLECTED = 3 * 3_600
"""Virtual seconds within which nothing of a deleted Session is left: what a late writer leaves is collected
when it is an hour old."""
MODES = ("ok", "ok", "ok", "parent", "error", "flaky", "crash", "hang")


class Installation(RuleBasedStateMachine):
    """One installation from its beginning to its peace."""

    LOSSES = False
    """Whether the newest records may be lost, as by a power cut when not every write is synced."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.made = 0
        self.results: list[str] = []
        """Ids of results that a client was asked to make."""
        self.frozen: list[Any] = []

    @initialize(
        seed=st.integers(0, 2**32),
        pods=st.integers(1, 3),
        mode=st.sampled_from(MODES),
        whole=st.booleans(),
    )
    def begin(self, seed: int, pods: int, mode: str, whole: bool) -> None:
        self.world = World(seed, pods, whole=whole)
        self.world.__enter__()
        self.watcher = Watcher(self.world)
        self.world.create_session("session")
        self.world.passes(5.0)
        self.submit(12, mode, "0.3", 1, 1, False)

    @property
    def w(self) -> World:
        """The world, which has begun."""
        assert self.world is not None
        return self.world

    # Users ---------------------------------------------------------------------------------------------

    @rule(
        count=st.integers(1, 25),
        mode=st.sampled_from(MODES),
        seconds=st.sampled_from(["0.01", "0.3", "4"]),
        retries=st.integers(0, 2),
        priority=st.sampled_from([1, 1, 1, 50, 99]),
        waits=st.booleans(),
    )
    @precondition(lambda self: self.made < 6)
    def submit(self, count: int, mode: str, seconds: str, retries: int, priority: int, waits: bool) -> None:
        options = {
            "maxRetries": retries,
            "priority": priority,
            "maxDurationSeconds": 20,
            "options": {"mode": mode, "seconds": seconds},
        }
        spec: dict[str, Any] = {"count": count, "options": options}
        needs: list[dict[str, str]] = [{"task": name} for name in sorted(self.w.tasks())]
        needs += [{"result": result} for result in self.results]
        if waits and needs:
            spec["dependsOn"] = [self.w.chance.choice(needs)]
        self.w.create_task(f"task-{self.made}", "session", **spec)
        self.made += 1

    @rule()
    @precondition(lambda self: self.world and self.world.tasks())
    def cancel_task(self) -> None:
        self.w.want("Task", self._task(), "Cancelled")

    @rule(uploaded=st.booleans())
    @precondition(lambda self: self.world and len(self.results) < 4)
    def make_result(self, uploaded: bool) -> None:
        self.results.append(f"{len(self.results):032x}")
        self.w.client.make(self._session_uid(), self.results[-1])
        if uploaded:
            self.w.client.upload(self._session_uid(), self.results[-1], b"by a client")

    @rule(what=st.sampled_from(["upload", "upload", "abort", "delete"]))
    @precondition(lambda self: self.results)
    def say_of_a_result(self, what: str) -> None:
        client, session, result = self.w.client, self._session_uid(), self.w.chance.choice(self.results)
        if what == "upload":
            client.upload(session, result, b"by a client, later")
        elif what == "abort":
            client.abort(session, result)
        else:
            client.delete(session, result)

    @rule()
    @precondition(lambda self: self.results)
    def client_dies(self) -> None:
        self.w.run(self.w.kill_client())

    @rule(first=st.integers(0, 24), length=st.integers(1, 5))
    @precondition(lambda self: self.world and self.world.tasks())
    def cancel_elements(self, first: int, length: int) -> None:
        name = self._task()
        spec = self.w.tasks()[name]["spec"]
        total = (
            len(spec["items"])
            if "items" in spec
            else spec.get("count", spec.get("itemsRef", {}).get("count", 1))
        )
        if first < total:
            named = [*spec.get("cancelledIndexes", []), f"{first}-{min(first + length, total) - 1}"]
            self.w.change("Task", name, {"cancelledIndexes": list(dict.fromkeys(named))})

    @rule(again=st.booleans())
    @precondition(lambda self: self.world and self.world.tasks())
    def delete_task(self, again: bool) -> None:
        name = self._task()
        self.w.delete("Task", name)
        if again and name.startswith("task-"):
            self.w.create_task(name, "session", count=3)

    @rule(paused=st.booleans())
    def pause_session(self, paused: bool) -> None:
        if self._session_state() in ("Running", "Paused"):
            self.w.want("Session", "session", "Paused" if paused else "Running")

    @rule(state=st.sampled_from(["Closed", "Cancelled"]), really=st.integers(0, 3))
    def end_session(self, state: str, really: int) -> None:
        if really == 0 and self._session_state() != "Cancelled":
            self.w.want("Session", "session", state)

    def _task(self) -> str:
        return self.w.chance.choice(sorted(self.w.tasks()))

    def _session_uid(self) -> str:
        return str(self.w.sessions()["session"]["metadata"]["uid"])

    def _session_state(self) -> str:
        return str(self.w.sessions()["session"]["spec"]["desiredState"])

    # Time ----------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.003, 0.02, 0.1, 0.5, 2.0, 7.0, 13.0]))
    def wait(self, seconds: float) -> None:
        self.w.passes(seconds)

    # Faults --------------------------------------------------------------------------------------------

    @rule()
    def agent_dies(self) -> None:
        if pod := self._pod():
            self.w.run(self.w.kill_agent(pod))

    @rule()
    def pod_vanishes(self) -> None:
        if pod := self._pod():
            self.w.run(self.w.kill_pod(pod))

    @rule(away=st.sampled_from([1.0, 1.0, 45.0]))
    def operator_dies(self, away: float) -> None:
        self.w.run(self.w.kill_operator(away))

    @rule(operator=st.booleans())
    def freeze(self, operator: bool) -> None:
        pod = self._pod()
        process = self.w.operator if operator else pod.process if pod else None
        if process is not None and process not in self.frozen:
            process.freeze(True)
            self.frozen.append(process)
            if operator:
                self.w.loop.call_later(0, lambda: None)

    @rule()
    @precondition(lambda self: self.frozen)
    def thaw(self) -> None:
        self.frozen.pop(0).freeze(False)

    @rule(seconds=st.sampled_from([0.5, 4.0, 12.0, 35.0]))
    def nats_restarts(self, seconds: float) -> None:
        self.w.nats.stop()
        self.w.passes(seconds)
        self.w.nats.start()

    @rule(records=st.integers(1, 6), messages=st.integers(0, 3), seconds=st.sampled_from([0.5, 12.0]))
    @precondition(lambda self: self.LOSSES)
    def nats_loses_the_newest(self, records: int, messages: int, seconds: float) -> None:
        self.w.nats.stop({JOURNAL: records, QUEUE: messages})
        self.watcher.forget()
        self.w.passes(seconds)
        self.w.nats.start()

    @rule()
    def leases_run_out(self) -> None:
        self.w.nats.redeliver()

    @rule(rate=st.sampled_from([0.0, 0.05, 0.3]))
    def answers_get_lost(self, rate: float) -> None:
        self.w.nats.lost_answers = rate

    @rule(down=st.booleans())
    def store(self, down: bool) -> None:
        self.w.store.down = down

    @rule(down=st.booleans())
    def apiserver(self, down: bool) -> None:
        self.w.kube.down = down

    def _pod(self) -> Pod | None:
        living = [pod for pod in self.w.pods.values() if pod.process is not None and not pod.leaving]
        return self.w.chance.choice(living) if living else None

    # Peace ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        if self.world is not None and self.world.problems:
            raise self.world.problems[0]

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            self._heal()
            self._await("quiet", self._quiet)
            check_quiet(self.world, self._parked(), lossy=self.LOSSES)
            self._await("summed up", lambda: sums_agree(self.w))
            self.world.delete("Session", "session")
            self._await("deleted", lambda: left_behind(self.w) == [], COLLECTED)
        finally:
            self.world.__exit__()

    def _await(self, what: str, holds: Callable[[], bool], within: int = PEACE) -> None:
        waited, step = 0.0, 1.0
        while waited < within:
            if holds():
                return
            self.w.passes(step)
            waited += step
            step = 1.0 if waited < PEACE else 60.0
        raise AssertionError(f"not {what} after {within} s: {left_behind(self.w)}\n{self._state()}")

    def _heal(self) -> None:
        world = self.w
        world.kube.down = world.store.down = False
        world.nats.lost_answers = 0.0
        for process in self.frozen:
            process.freeze(False)
        self.frozen.clear()
        if self._session_state() == "Paused":
            world.want("Session", "session", "Running")

    def _quiet(self) -> bool:
        tasks = self.w.tasks().values()
        ended = all(_finished(task) or task["metadata"]["name"] in self._parked() for task in tasks)
        uids = {task["metadata"]["uid"] for task in tasks}
        journal = self.w.nats.streams[JOURNAL]
        kept = {RunId.from_journal(subject).task for subject in runs(journal.by_subject)}
        settled = self.LOSSES or not unsettled_results(self.w)
        cancelled = all(_cancels_shown(task) for task in tasks)
        queued = self.w.nats.streams[QUEUE].messages
        return ended and settled and cancelled and not self.w.client_busy and kept <= uids and not queued

    def _parked(self) -> set[str]:
        """Tasks that wait, also through others, for a name without a Task or a result that is not there."""
        tasks, parked = self.w.tasks(), set[str]()
        while True:
            more = {
                name
                for name, task in tasks.items()
                if not _finished(task)
                and any(self._missing(task, need, parked) for need in task["spec"].get("dependsOn", []))
            }
            if more <= parked:
                return parked
            parked |= more

    def _missing(self, task: dict[str, Any], need: dict[str, str], parked: set[str]) -> bool:
        if "result" in need:
            entry = entry_of(self.w, self._session_uid(), need["result"])
            return entry is None or entry.state is ResultState.CREATED
        named, pinned = need["task"] in self.w.tasks(), need["task"] in pins_of(self.w, task)
        return need["task"] in parked or not (named or pinned)

    def _state(self) -> str:
        """What has not come to rest, for a failure's text."""
        world, journal = self.w, self.w.nats.streams[JOURNAL]
        heads = {
            s: Record.model_validate_json(journal.messages[journal.by_subject[s][-1]].data)
            for s in runs(journal.by_subject)
        }
        shown = [
            f"{name} {task['metadata']['uid']}: {json.dumps(task.get('status'))[:600]}"
            for name, task in world.tasks().items()
            if not _finished(task)
        ]
        shown += [f"queued {m.subject}" for m in world.nats.streams[QUEUE].messages.values()]
        left = {subject: head for subject, head in heads.items() if not head.kind.terminal}
        shown += [f"{s}: {h.kind} n={h.n} e={h.epoch} {h.owner}" for s, h in left.items()]
        shown += [f"pod {p.name} {p.uid}: {p.process and p.process.alive}" for p in world.pods.values()]
        shown += [f"session {s['spec']['desiredState']}" for s in world.sessions().values()]
        shown += [f"crashed: {error!r}"[:200] for error in world.crashes[-3:]]
        return "\n".join(shown)


def _cancels_shown(task: dict[str, Any]) -> bool:
    """Whether the elements that a user cancelled have ended, of a Task that waits without end."""
    wanted = str(Task.from_object(task).spec.cancelled)
    return _finished(task) or task.get("status", {}).get("cancelledIndexes", "") == wanted


def _finished(task: dict[str, Any]) -> bool:
    conditions = task.get("status", {}).get("conditions", [])
    return any(c["type"] == "Finished" and c["status"] == "True" for c in conditions)
