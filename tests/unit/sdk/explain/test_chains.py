"""Chains of reasons: down to the root, around a cycle, through what is missing."""

from pathlib import Path
from typing import Any

import pytest
from explained import (
    OWNER,
    ago,
    done,
    facts,
    failed,
    needing,
    observed,
    partition,
    pod,
    session,
    submitted,
    task,
    tried,
    waiting_container,
    written,
)

from armonik_operator.planning.partition import Observed, Refused
from armonik_operator.planning.preemption import Preemption
from armonik_operator.planning.task import DependencyState
from armonik_sdk.api.const import FailureReason, Reason
from armonik_sdk.api.kinds import Task
from armonik_sdk.api.records import RecordKind
from armonik_sdk.explain import Facts, explain, needs
from armonik_sdk.explain.facts import MOST_DEPTH, MOST_NEEDS, Pod

NOT_FOUND = (
    'Back-off pulling image "r.example/x:1": ErrImagePull: failed to resolve "r.example/x:1": not found'
)


def waits_for(name: str, other: str, **more: Any) -> Task:
    readiness = needing(f"task {other} has not ended")
    made = task(name, dependsOn=[{"task": other}], **more)
    return written(made, session(), observed(partition(), []), readiness=readiness)


def test_a_task_that_waits_for_a_task_that_waits_for_an_image() -> None:
    pods = [pod("default-x7k2p", **waiting_container("ErrImagePull", NOT_FOUND))]
    place, of = observed(partition(image="r.example/x:1"), pods), session()
    fetch = facts(
        written(task("fetch", 4), of, place, [submitted(0, 4)]), session=of, partition=place, pods=pods
    )
    parse = facts(waits_for("parse", "fetch"), session=of, tasks={"fetch": fetch})
    found = explain(facts(waits_for("reduce", "parse"), session=of, tasks={"parse": parse}))
    assert found.text == (Path(__file__).parent / "chain.txt").read_text().rstrip("\n")
    assert [(link.subject, link.reason) for link in found.chain] == [
        ("task parse", "WaitingForData"),
        ("task fetch", "NoPods"),
        ("partition default", "ImagePullFailed"),
        ("pod default-x7k2p", "ErrImagePull"),
    ]


def test_a_chain_that_never_ends_is_followed_for_a_bounded_way() -> None:
    """As two Tasks make it that wait for each other, before the operator finds the cycle."""
    one, two = waits_for("one", "two"), waits_for("two", "one")
    behind: dict[str, Facts] = {}
    first = facts(one, session=session(), tasks=behind)
    behind |= {"two": facts(two, session=session(), tasks={"one": first})}
    found = explain(first)
    assert len(found.chain) == MOST_DEPTH + 1
    assert "are not followed" in found.chain[-1].why


def test_a_cycle_that_the_operator_found() -> None:
    made = written(
        task("one", dependsOn=[{"task": "two"}]),
        session(),
        observed(partition(), []),
        readiness=needing("task one waits for task two, which waits for task one", DependencyState.WAITING),
        inputs=None,
    )
    assert made.status is not None
    cycle = made.status.conditions[0].model_copy(
        update={"type": "Ready", "status": "False", "reason": "DependencyCycle"}
    )
    made = made.model_copy(update={"status": made.status.model_copy(update={"conditions": [cycle]})})
    found = explain(facts(made))
    assert found.reason == "DependencyCycle"
    assert [link.subject for link in found.chain] == ["task one", "task two"]
    assert "armonikctl task cancel one" in found.mend[0]


def test_a_dependency_that_was_not_read() -> None:
    found = explain(facts(waits_for("reduce", "parse"), unread=["task parse: the user may not read tasks"]))
    assert found.why.startswith("It needs all outputs of task parse. Task parse has not ended.")
    assert found.why.endswith("Not read: task parse: the user may not read tasks")


def test_a_missing_result_and_a_missing_task_that_is_like_none() -> None:
    of, place = session(), observed(partition(), [])
    words = "result picture does not exist in session demo; create it"
    made = task("t", dependsOn=[{"result": "picture"}])
    found = explain(facts(written(made, of, place, readiness=needing(words, DependencyState.MISSING))))
    assert "result picture, which does not exist in session demo." in found.why
    words = "task qqq does not exist in session demo; create it"
    made = task("t", dependsOn=[{"task": "qqq"}])
    waits = written(made, of, place, readiness=needing(words, DependencyState.MISSING))
    found = explain(facts(waits, missing=frozenset({"qqq"}), names=["parse"]))
    assert found.why.endswith("which does not exist in session demo.")


def test_failures_that_follow_from_others_name_each_of_them() -> None:
    chain = (
        "element 3 of task parse ended as Error: element 1 of task fetch ended as Error: ValueError: empty"
    )
    of = session()
    over = written(
        task("reduce", 2),
        of,
        observed(partition(), []),
        [failed(0, FailureReason.DEPENDENCY_ABORTED, chain), done(1, 2)],
    )
    found = explain(facts(over))
    assert found.why.splitlines()[1:] == [
        "  1×  DependencyAborted element 3 of task parse ended as Error       element 0",
        "        because element 1 of task fetch ended as Error",
        "        because ValueError: empty",
    ]
    assert [link.subject for link in found.chain] == ["element 3 of task parse", "element 1 of task fetch"]


@pytest.mark.parametrize(
    ("seen", "last", "words"),
    [
        (
            Observed(
                "new",
                refused=Refused(
                    Reason.QUOTA_EXCEEDED, 'pods "d" is forbidden: exceeded quota: team, used: cpu=2'
                ),
            ),
            "quota team",
            "a quota of the namespace allows no more",
        ),
        (
            Observed("new", refused=Refused(Reason.TEMPLATE_INVALID, "Pod is invalid: no such volume")),
            "partition default",
            "the apiserver refuses them",
        ),
        (
            Observed("new", gives_way=Preemption(to="urgent")),
            "partition urgent",
            "give way to those of partition urgent",
        ),
    ],
    ids=["quota", "template", "preempted"],
)
def test_what_keeps_a_partition_from_having_pods(seen: Observed, last: str, words: str) -> None:
    place, of = observed(partition(podReserved=1), [], seen), session()
    waits = written(task("t", 2), of, place, [submitted(0, 2)])
    for found in (explain(facts(waits, session=of, partition=place)), explain(facts(place))):
        assert words in found.why
        assert found.chain[-1].subject == last
        assert found.mend


def test_a_worker_that_was_killed_for_memory() -> None:
    ended = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "restartCount": 2}
    pods = [pod("default-a", **waiting_container("CrashLoopBackOff", "back-off 20s", **ended))]
    place = observed(partition(), pods)
    found = explain(facts(place, pods=pods))
    assert "exit code 137 (OOMKilled), 2 times in 3 min." in found.why
    assert "limits.memory" in found.mend[0]


def test_a_volume_that_is_missing() -> None:
    event = {
        "reason": "FailedMount",
        "message": 'secret "absent" not found',
        "lastTimestamp": "2026-11-30T11:59:00Z",
    }
    made = pod("default-a")
    place = observed(partition(), [])
    assert place.status is not None
    said = place.status.conditions[0].model_copy(
        update={"reason": "PodStartFailed", "message": 'default-a: FailedMount: secret "absent" not found'}
    )
    place = place.model_copy(update={"status": place.status.model_copy(update={"conditions": [said]})})
    found = explain(facts(place, pods=[Pod.of(made, [event])]))
    assert 'FailedMount: secret "absent" not found.' in found.why
    assert found.look == ["kubectl describe pod default-a"]
    assert found.chain[-1].why == 'secret "absent" not found'


def test_a_session_names_its_tasks_that_wait() -> None:
    of, place = session(), observed(partition(), [])
    waits = facts(written(task("squares", 3), of, place, [submitted(0, 3)]), session=of, partition=place)
    other = facts(waits_for("reduce", "squares"), session=of)
    found = explain(facts(of, waiting=[waits, other]))
    assert found.text.startswith(
        "session demo: running, 0 of 1000 elements have ended\nwhy     2 tasks of it wait:"
    )
    assert "  task squares: Partition default has no ready pod" in found.why
    assert "  task reduce: It needs all outputs of task squares" in found.why
    assert found.reason == "Accepted"


def test_one_element() -> None:
    of, place = session(), observed(partition(memory="2Gi"), [])
    over = written(
        task("t", 3), of, place, [done(0, 2), failed(2, FailureReason.WORKER_ERROR, "KeyError: 'x'")]
    )
    found = explain(facts(over, index=2))
    assert found.text.splitlines()[:3] == [
        "element 2 of task t (session demo): failed",
        "why     WorkerError:",
        "            KeyError: 'x'",
    ]
    assert explain(facts(over, index=0)).state == "succeeded"
    assert explain(facts(over, index=3)).state == "does not exist"
    waits = written(task("t", 3), of, place, [submitted(0, 3)])
    found = explain(facts(waits, index=1, session=of, partition=place))
    assert (found.state, found.reason) == ("waits", "NoPods")


def test_needs_are_bounded_and_begin_with_what_the_status_names() -> None:
    many = [{"task": f"t-{number}"} for number in range(100)]
    made = written(
        task("t", dependsOn=many),
        session(),
        observed(partition(), []),
        readiness=needing("task t-77 has not ended"),
    )
    found = needs(made)
    assert len(found) == MOST_NEEDS
    assert [need.task for need in found[:2]] == ["t-77", "t-0"]


def test_needs_of_one_element_are_its_own_and_those_of_its_task() -> None:
    items = [{"dependsOn": [{"task": "a"}]}, {"payload": {"result": "r"}}, {}]
    made = task("t", dependsOn=[{"task": "all"}], items=items)
    assert [need.task for need in needs(made, 0)] == ["all", "a"]
    assert [(need.task, need.result) for need in needs(made, 1)] == [("all", ""), ("", "r")]
    assert len(needs(made)) == 3


def test_what_a_worker_printed_cannot_move_the_cursor() -> None:
    ended = {"lastState": {"terminated": {"exitCode": 1}}, "restartCount": 2}
    made = pod("default-a", **waiting_container("CrashLoopBackOff", "back-off 20s", **ended))
    place = observed(partition(), [made])
    known = Pod.of(made, (), "fine\n\x1b[2J\x1b]0;title\x07evil\u202e" + "x" * 5000)
    text = explain(facts(place, pods=[known])).text
    assert "evil" in text
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text) < 2000


def test_the_age_of_an_event_decides_and_not_its_place() -> None:
    events = [
        {"message": "new", "lastTimestamp": ago(minutes=1).isoformat()},
        {"message": "old", "lastTimestamp": ago(minutes=9).isoformat()},
        {"message": "undated"},
    ]
    assert Pod.of(pod("a"), events).warning == "new"


def test_pods_that_went_after_the_status_was_written() -> None:
    """And those that came."""
    of, busy = session(), observed(partition(), [pod("default-a", ready=True)])
    queued = written(task("t", 3), of, busy, [submitted(0, 3)])
    pods = [pod("default-a", **waiting_container("ErrImagePull", NOT_FOUND))]
    found = explain(facts(queued, session=of, partition=observed(partition(), pods), pods=pods))
    assert found.reason == "Queued"
    assert "image r.example/x:1 cannot be pulled: not found" in found.why
    waits = written(task("t", 3), of, observed(partition(), pods), [submitted(0, 3)])
    found = explain(facts(waits, session=of, partition=busy))
    assert found.why == "Partition default had no ready pod; by now 1 is ready."


def test_some_of_the_elements_are_tried_again_while_others_wait_for_room() -> None:
    of, place = session(), observed(partition(), [pod("default-a", ready=True)])
    records = [tried(0, 1, "OSError: gone", seconds=30), tried(1, 2, "OSError: gone", seconds=20)]
    found = explain(facts(written(task("t", 10), of, place, records), session=of))
    assert found.state == "10 of 10 elements wait, none runs"
    assert found.why.splitlines()[0] == (
        "The last execution of 2 of them failed, and they are tried again in 20 s (execution 3 of 4)."
        " The newest failure, element 1:"
    )
    assert found.mend == ["Nothing has to be done. To stop it: armonikctl task cancel t"]


def test_an_element_that_an_agent_holds_until_it_is_tried_again_does_not_run() -> None:
    of, place = session(), observed(partition(), [pod("default-a", ready=True)])
    kept = tried(1, 1, "OSError: gone", seconds=30).model_copy(
        update={"kind": RecordKind.DISPATCHED, "owner": OWNER}
    )
    made = written(task("t", 2), of, place, [done(0, 1), kept])
    assert made.status is not None
    assert made.status.elements is not None
    assert made.status.elements.running == 1
    found = explain(facts(made, session=of))
    assert found.state == "1 of 2 elements waits, 1 has succeeded"
    assert found.why.startswith(
        "Their last execution failed, and they are tried again in 30 s (execution 2 of 4)."
    )
