"""Whatever a status says, an explanation comes out: bounded, printable, and as JSON."""

import json
from typing import Any

from explained import NOW
from hypothesis import given
from hypothesis import strategies as st

from armonik_sdk.api.const import ConditionType, FailureReason, Reason
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task
from armonik_sdk.explain import Explanation, Facts, explain
from armonik_sdk.explain.facts import Pod

FORMS = [
    "{0} elements wait for a free worker in partition {1}, "
    "{0} of other tasks before them; {0} of 2 pods work",
    "3 elements wait until {1}: executions failed, and are tried again "
    "(of element {0} {0} failed, the last: {1})",
    "3 elements wait until 2026-01-01T00:01:00Z: executions failed (of element 1 2 failed, the last: {1})",
    "3 elements wait until 9999-99-99T99:99:99Z: executions failed (of element 1 2 failed, the last: {1})",
    '{1}-abc: worker: Back-off pulling image "{1}": ErrImagePull: {1}',
    "task {1} does not exist in session {1}; create it",
    "{0} of 30 elements of task one have not ended",
    "result {1} is not written yet",
    "pods {1} exceeded quota: {1}",
    "element {0} of task {1} ended as Error: element 1 of task b ended as Timeout: {1}",
    "{1}",
]
PARTITION_COUNTS = ("replicas", "readyReplicas", "busyReplicas", "queued", "elementsPerMinute")
names = st.sampled_from(["one", "two", "gpu", "default", "t-1"])
texts = st.builds(
    lambda form, number, text: form.format(number, text)[:1000],
    st.sampled_from(FORMS),
    st.integers(0, 10**12),
    names | st.text(max_size=40),
)
counts = st.integers(0, 2_000)
indexes = st.sampled_from(["", "0", "0-2", "1,3-5", "7"])
times = st.sampled_from(["2026-11-30T11:59:00Z", "2027-01-01T00:00:00Z", "2020-01-01T00:00:00Z"])
reasons = st.sampled_from([*Reason, *FailureReason, "OutOfMoons"]).map(str)
conditions = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from([*ConditionType, "Moonlit"]).map(str),
            "status": st.sampled_from(["True", "False", "Unknown"]),
            "reason": reasons,
            "message": texts,
            "lastTransitionTime": times,
        }
    ),
    max_size=4,
    unique_by=lambda c: str(c["type"]),
)
numbers = ("total", "pending", "queued", "running", "succeeded", "failed", "timedOut", "cancelled")
elements = st.fixed_dictionaries({}, optional=dict.fromkeys(numbers, counts))
intervals = ("succeededIndexes", "failedIndexes", "timedOutIndexes", "cancelledIndexes")
failures = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 9), "reason": reasons, "message": texts, "attempt": st.integers(0, 5)}
    ),
    max_size=10,
    unique_by=lambda f: int(f["index"]),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "partition": names,
        "priority": st.integers(1, 99),
        "maxRetries": st.integers(0, 9),
        "maxDurationSeconds": st.integers(1, 9),
    },
)
metadata = st.fixed_dictionaries(
    {"name": names, "namespace": st.just("default"), "uid": names}, optional={"deletionTimestamp": times}
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def optional(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    return st.none() | st.fixed_dictionaries({"conditions": conditions}, optional=fields)


tasks = st.fixed_dictionaries(
    {
        "metadata": metadata,
        "spec": st.fixed_dictionaries(
            {"session": names},
            optional={
                "count": st.integers(1, 20),
                "options": options,
                "dependsOn": st.lists(st.builds(lambda n: {"task": f"{n}-x"}, names), max_size=3),
                "desiredState": st.sampled_from(["Active", "Cancelled"]),
            },
        ),
        "status": optional(
            {
                "elements": elements,
                "failures": failures,
                "options": options,
                "partition": names,
                "detailRef": st.sampled_from(["", "key"]),
                **dict.fromkeys(intervals, indexes),
            }
        ),
    }
)
sessions = st.fixed_dictionaries(
    {
        "metadata": metadata,
        "spec": st.just({"partitions": ["default"]}),
        "status": optional({"elements": elements, "phase": names}),
    }
)
partitions = st.fixed_dictionaries(
    {
        "metadata": metadata,
        "spec": st.fixed_dictionaries(
            {
                "podMax": st.integers(0, 10_000),
                "template": st.just({"spec": {"worker": {"image": "w:1"}}}),
            }
        ),
        "status": optional(dict.fromkeys(PARTITION_COUNTS, counts)),
    }
)
parts = ("metadata", "conditions", "initContainerStatuses", "containerStatuses", "status")
pods = st.dictionaries(
    st.sampled_from(parts), json_values | st.dictionaries(st.sampled_from(parts), json_values)
)


def read(kind: type[Any], obj: dict[str, Any]) -> Any:
    try:
        return kind.from_object(obj)
    except InvalidManifest:  # such as an operator's count that does not fit; the client does not get this far
        return None


@st.composite
def known(draw: st.DrawFn, depth: int = 0) -> Facts:
    kind, strategy = draw(st.sampled_from([(Task, tasks), (Session, sessions), (Partition, partitions)]))
    if depth:
        kind, strategy = Task, tasks
    subject = read(kind, draw(strategy))
    if subject is None:
        subject = Task.from_object({"metadata": {"name": "one"}, "spec": {"session": "s"}})
    behind = draw(st.lists(known(depth + 1), max_size=2)) if depth < 2 else []
    return Facts(
        subject,
        NOW,
        index=draw(st.none() | st.integers(0, 25)) if isinstance(subject, Task) else None,
        session=draw(st.none() | sessions.map(lambda o: read(Session, o))),
        partition=draw(st.none() | partitions.map(lambda o: read(Partition, o))),
        pods=[Pod.of(o, (), draw(texts)) for o in draw(st.lists(pods, max_size=2))],
        tasks={draw(names) + "-x": other for other in behind},
        missing=frozenset(draw(st.lists(names.map("{}-x".format), max_size=2))),
        names=draw(st.lists(names, max_size=3)),
        partitions=draw(st.lists(names, max_size=3)),
        waiting=[other for other in behind if isinstance(other.subject, Task)],
        unread=draw(st.lists(texts, max_size=1)),
    )


@given(known())
def test_an_explanation_comes_out_of_any_status(facts: Facts) -> None:
    found = explain(facts)
    lines = found.text.splitlines()
    assert lines[0].startswith(f"{found.subject}: ")
    assert found.state
    assert all(line.isprintable() for line in lines)
    assert len(found.text) < 20_000
    assert len(found.chain) < 60
    again = Explanation.model_validate(json.loads(found.model_dump_json(by_alias=True)))
    assert (again.why, again.mend, again.chain) == (found.why, found.mend, found.chain)
