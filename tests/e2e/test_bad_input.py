"""Input that no schema can refuse: the object says what is wrong and how to fix it, and then continues."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import Object, apply, kill_operator, lab_partition, objects, session, stopped, until
from space import PARTITION, SESSION, Space, space

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    with space("bad") as made:
        yield made


def test_a_session_that_does_not_exist(here: Space) -> None:
    uid = here.submit("no-session", of="forgotten", payload={"inline": "a"})
    _parked(here, "no-session", "SessionNotFound", "forgotten", "create it")
    _nothing_queued(here, uid)
    apply(session(here.namespace, "forgotten", PARTITION))
    _runs(here, "no-session", "a")


def test_a_partition_that_does_not_exist(here: Space) -> None:
    """The session says so as well as the task."""
    apply(session(here.namespace, "no-partition", "late"))
    uid = here.submit("no-partition", of="no-partition", payload={"inline": "b"})
    _parked(here, "no-partition", "PartitionNotFound", "late", "create it")
    _parked(here, "no-partition", "PartitionNotFound", "late", "create it", kind="session.armonik.io")
    _nothing_queued(here, uid)
    apply(lab_partition(here.namespace, "late"))
    _runs(here, "no-partition", "b")
    here.ready("session", "no-partition")


def test_a_partition_that_is_not_the_sessions(here: Space) -> None:
    apply(lab_partition(here.namespace, "foreign", pods=0))
    apply(session(here.namespace, "narrow", "foreign"))
    uid = here.submit("foreign", of="narrow", payload={"inline": "c"}, options={"partition": PARTITION})
    _parked(here, "foreign", "PartitionNotInSession", PARTITION, "narrow", "foreign")
    _nothing_queued(here, uid)
    spec = {"partitions": ["foreign", PARTITION], "taskDefaults": {"partition": "foreign"}}
    here.patch("narrow", spec, "session.armonik.io")
    _runs(here, "foreign", "c")


def test_a_payload_object_that_was_not_uploaded(here: Space) -> None:
    session_uid = here.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    key = f"{here.namespace}/{session_uid}/uploads/forgotten"
    uid = here.submit("no-payload", payload={"object": {"key": key}})
    _parked(here, "no-payload", "PayloadNotFound", key, "upload")
    _nothing_queued(here, uid)
    here.observe.put(key, b"d")
    _runs(here, "no-payload", "d")


def test_a_dependency_that_does_not_exist(here: Space) -> None:
    uid = here.submit("no-dependency", "concat", dependsOn=[{"task": "not-yet"}])
    _parked(here, "no-dependency", "DependencyNotFound", "not-yet", "create it")
    _nothing_queued(here, uid)
    here.submit("not-yet", payload={"inline": "e"})
    _runs(here, "no-dependency", "e")


def test_a_result_that_does_not_exist(here: Space) -> None:
    uid = here.submit("no-result", "concat", dependsOn=[{"result": "0000.0.result"}])
    _parked(here, "no-result", "DependencyNotFound", "0000.0.result")
    _nothing_queued(here, uid)
    here.delete("no-result")


def test_an_output_that_the_dependency_does_not_have(here: Space) -> None:
    here.submit("one-output", payload={"inline": "f"})
    uid = here.submit("no-output", "concat", dependsOn=[{"task": "one-output", "output": "other"}])
    _parked(here, "no-output", "DependencyInvalid", "one-output", "other")
    _nothing_queued(here, uid)
    here.delete("no-output")


def test_a_dependency_of_another_session(here: Space) -> None:
    apply(session(here.namespace, "other", PARTITION))
    here.submit("theirs", of="other", payload={"inline": "g"})
    uid = here.submit("ours", "concat", dependsOn=[{"task": "theirs"}])
    _parked(here, "ours", "DependencyInvalid", "theirs", "same session")
    _nothing_queued(here, uid)
    here.delete("ours")
    here.submit("ours", "concat", of="other", dependsOn=[{"task": "theirs"}])
    _runs(here, "ours", "g")


def test_a_worker_template_that_the_apiserver_refuses(here: Space) -> None:
    """Its own words say what is wrong."""
    wrong = lab_partition(here.namespace, "wrong")
    worker = wrong["spec"]["template"]["spec"]["worker"]
    worker["resources"] = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    apply(wrong, session(here.namespace, "wrong", "wrong"))
    uid = here.submit("wrong", of="wrong", payload={"inline": "h"})
    _parked(here, "wrong", "TemplateInvalid", "memory", "limit", kind="partition.armonik.io")
    until("the task waits in the queue", lambda: len(here.observe.queued(uid)) == 1)
    del worker["resources"]
    apply(wrong)
    _runs(here, "wrong", "h")
    here.ready("partition", "wrong")


def test_an_image_that_cannot_be_pulled(here: Space) -> None:
    absent = lab_partition(here.namespace, "absent")
    worker = absent["spec"]["template"]["spec"]["worker"]
    image, worker["image"] = worker["image"], "registry.invalid/absent:1"
    apply(absent, session(here.namespace, "absent", "absent"))
    here.submit("absent", of="absent", payload={"inline": "i"})
    _parked(here, "absent", "ImagePullFailed", "registry.invalid/absent:1", kind="partition.armonik.io")
    worker["image"] = image
    apply(absent)
    _runs(here, "absent", "i")
    here.ready("partition", "absent")


def test_what_is_missing_is_reported_once_by_an_event(here: Space) -> None:
    """For those who read `kubectl describe`."""
    here.submit("told", of="nobody")
    _parked(here, "told", "SessionNotFound", "nobody")
    words = ("--namespace", here.namespace, "--field-selector", "involvedObject.name=told")
    until("an Event reports it", lambda: bool(objects("events", *words)))
    (event,) = objects("events", *words)
    assert (event["type"], event["reason"], event.get("count", 1)) == ("Warning", "SessionNotFound", 1)
    assert "nobody" in event["message"]
    here.delete("told")


@pytest.mark.alone
@pytest.mark.parametrize(("component", "reason"), [("nats", "QueueUnavailable"), ("s3", "StoreUnavailable")])
def test_a_server_that_is_down_when_the_operator_starts(here: Space, component: str, reason: str) -> None:
    with stopped(component):
        kill_operator(ready=component != "nats")  # without NATS it cannot work, and is not ready
        apply(session(here.namespace, f"no-{component}", PARTITION))
        text = component * 1_000  # longer than what rides in the queue's message
        here.submit(f"no-{component}", of=f"no-{component}", payload={"inline": text})
        _parked(here, f"no-{component}", reason, component)
        _parked(here, f"no-{component}", reason, component, kind="session.armonik.io")
    _runs(here, f"no-{component}", text)
    here.ready("session", f"no-{component}")


def _parked(here: Space, name: str, reason: str, *words: str, kind: str = "tasks.armonik.io") -> None:
    """Wait for Ready=False with a reason, and a message that has these words."""

    def ready() -> Object:
        conditions = here.status(name, kind).get("conditions", [])
        return next((c for c in conditions if c["type"] == "Ready"), {})

    until(f"{kind} {name} says {reason}", lambda: ready().get("reason") == reason)
    said = ready()
    assert said["status"] == "False"
    assert [word for word in words if word not in said["message"]] == [], said["message"]


def _nothing_queued(here: Space, uid: str) -> None:
    assert here.observe.kinds(uid) == []
    assert here.observe.queued(uid) == set()


def _runs(here: Space, name: str, result: str) -> None:
    task, _ = here.end(name)
    assert task["status"]["results"][0]["inline"] == result
    assert not [c for c in task["status"]["conditions"] if c["type"] == "Ready"]
