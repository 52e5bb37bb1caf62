"""Which Warning of a pod's says why it does not start, and how few of them are read."""

from typing import Any

from armonik_operator.clients.kube import EVENTS, Kind
from armonik_operator.controllers.pod_warnings import EVENTS_READ, PODS_READ, PodWarnings
from armonik_operator.errors import KubeError
from armonik_operator.planning.pod_warnings import Warned, newest_warning


def pod(name: str = "a", *, ready: bool = False, started: str = "", **status: Any) -> dict[str, Any]:
    worker: dict[str, Any] = {"waiting": {"reason": "PodInitializing"}}
    if started:
        worker = {"running": {"startedAt": started}}
    meta = {"name": name, "uid": name, "namespace": "ns", "creationTimestamp": "2026-01-01T00:00:00Z"}
    facts = [{"type": "Ready", "status": str(ready)}]
    entries = [{"name": "worker", "state": worker}]
    return {
        "metadata": meta,
        "status": {"conditions": facts, "initContainerStatuses": entries, **status},
    }


def event(reason: str, message: str = "m", at: str = "2026-01-01T00:00:10Z") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": at}


def test_what_stops_a_pod_comes_before_what_may_only_explain_it() -> None:
    events = [
        event("FailedMount", "old", "2026-01-01T00:00:01Z"),
        event("FailedMount", "new", "2026-01-01T00:00:05Z"),
        event("DNSConfigForming", "later"),
    ]
    assert newest_warning(pod(), events) == Warned("FailedMount", "new")
    assert newest_warning(pod(), events[2:]) == Warned("DNSConfigForming", "later")


def test_reasons_that_nobody_listed_count_too() -> None:
    for reason in ("FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume", "NetworkPluginError"):
        found = newest_warning(pod(), [event(reason)])
        assert found is not None
        assert found.stops


def test_what_the_pods_status_reports_better_is_left_out() -> None:
    events = [event(reason) for reason in ("Unhealthy", "BackOff", "FailedScheduling", "Failed")]
    assert newest_warning(pod(), events) is None


def test_what_kept_a_container_from_starting_is_over_once_it_was_started() -> None:
    late = pod(started="2026-01-01T00:00:11Z")
    assert newest_warning(late, [event("FailedMount")]) is None
    assert newest_warning(pod(ready=True), [event("FailedMount")]) is None
    again = event("FailedPostStartHook", at="2026-01-01T00:00:11Z")
    assert newest_warning(late, [again]) == Warned("FailedPostStartHook", "m")


def test_the_time_of_an_event_is_read_from_the_field_that_has_it() -> None:
    series = {
        "reason": "FailedMount",
        "message": "m",
        "series": {"lastObservedTime": "2026-01-01T00:00:20.5Z"},
    }
    micro = {"reason": "FailedMount", "message": "m", "eventTime": "2026-01-01T00:00:20.123456Z"}
    for given in (series, micro):
        assert newest_warning(pod(started="2026-01-01T00:00:20Z"), [given]) is not None
        assert newest_warning(pod(started="2026-01-01T00:00:21Z"), [given]) is None


class FakeKube:
    """Answers lists of events, and counts them."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events, self.asked = events, list[tuple[str, int]]()
        self.refuses = False

    async def list(self, kind: Kind, namespace: str, *, fields: str, most: int) -> list[dict[str, Any]]:
        assert (kind, namespace) == (EVENTS, "ns")
        self.asked.append((fields, most))
        if self.refuses:
            raise KubeError(403, {}, "GET events")
        return self.events


async def test_few_events_of_few_pods_are_read_and_seldom() -> None:
    kube, warnings = FakeKube([event("FailedMount")]), PodWarnings()
    pods = [pod(f"p{number}") for number in range(1000)]
    for _ in range(5):
        found = await warnings.of(kube, pods)  # type: ignore[arg-type]  # what it needs of it is there
        assert set(found) == {f"p{number}" for number in range(PODS_READ)}
    wanted = "involvedObject.kind=Pod,involvedObject.uid=p0,type=Warning"
    assert kube.asked[0] == (wanted, EVENTS_READ)
    assert len(kube.asked) == PODS_READ


async def test_pods_that_say_themselves_what_is_wrong_or_leave_are_not_asked_about() -> None:
    kube, warnings = FakeKube([]), PodWarnings()
    pull = {"name": "worker", "state": {"waiting": {"reason": "ErrImagePull"}}}
    leaving = pod("b")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pods = [pod("a", ready=True), leaving, pod("c", initContainerStatuses=[pull])]
    assert await warnings.of(kube, pods) == {}  # type: ignore[arg-type]
    assert kube.asked == []


async def test_without_the_right_to_read_events_pods_are_served_nevertheless() -> None:
    kube = FakeKube([])
    kube.refuses = True
    assert await PodWarnings().of(kube, [pod()]) == {}  # type: ignore[arg-type]
