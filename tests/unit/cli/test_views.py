"""What is shown of objects: state in, text out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from armonik_sdk.api import crd
from armonik_sdk.cli.output.remarks import write_facts
from armonik_sdk.cli.output.table import Table
from armonik_sdk.cli.views import choosing, pods
from armonik_sdk.cli.views.columns import PARTITION, SESSION, TASK, Noun
from armonik_sdk.cli.views.describing import described, shortened
from armonik_sdk.cli.views.family import Member, lines
from armonik_sdk.cli.views.reading import moment, since, span

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=3, seconds=20), "3m20s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(minutes=179), "179m"),
        (timedelta(hours=5, minutes=12), "5h12m"),
        (timedelta(hours=40), "40h"),
        (timedelta(days=2, hours=3), "2d3h"),
        (timedelta(days=12, hours=3), "12d"),
    ],
)
def test_ages_are_written_as_kubectl_does(time: timedelta, text: str) -> None:
    assert span(time) == text


def test_a_time_that_is_missing_or_no_time_is_left_out() -> None:
    assert since("2026-11-30T11:59:00Z", NOW) == "60s"
    assert since("", NOW) == since("yesterday", NOW) == ""
    assert moment("2026-11-30T12:00:00") == NOW


@pytest.mark.parametrize(
    ("noun", "definition"), [(SESSION, crd.SESSION), (TASK, crd.TASK), (PARTITION, crd.PARTITION)]
)
def test_the_columns_are_those_of_kubectl(noun: Noun, definition: crd.Definition) -> None:
    """STATUS is the phase; of a Partition, which has none, it is the reason."""
    own = {("PHASE" if column.title == "STATUS" else column.title, column.wide) for column in noun.columns}
    theirs = {(column.name.upper(), column.wide) for column in definition.columns}
    own -= {("NAME", False)}
    if noun is PARTITION:
        own = {("REASON", True) if title == "PHASE" else (title, wide) for title, wide in own}
        own -= {("MESSAGE", True)}
    assert own == theirs


def test_an_object_without_a_status_has_a_row() -> None:
    for noun in (SESSION, TASK, PARTITION):
        cells = [column.value({"metadata": {"name": "x"}}, NOW) for column in noun.columns]
        assert cells[0] == "x"
        assert cells[1] in ("Pending", "Creating")


def task(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "t"}, "status": status}


def said(kind: str, status: str, reason: str = "Why") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason}


@pytest.mark.parametrize(
    ("conditions", "waits"),
    [
        ([said("Waiting", "True")], True),
        ([said("Ready", "False")], True),
        ([said("Waiting", "False")], False),
        ([said("Finished", "True"), said("Ready", "False")], False),
        ([], False),
    ],
)
def test_a_task_waits_while_a_condition_says_so(conditions: list[dict[str, str]], waits: bool) -> None:
    assert choosing.is_waiting(task(conditions=conditions)) is waits


def test_the_apiserver_selects_what_it_can() -> None:
    assert choosing.fields(("Error",), session="demo") == "spec.session=demo,status.phase=Error"
    assert choosing.fields(("Error", "Timeout"), partition="gpu") == "status.partition=gpu"
    assert choosing.fields(("Creating",)) == choosing.fields(()) == ""


def test_tasks_are_chosen_by_all_that_is_asked_for() -> None:
    bad = task(phase="Error", elements={"timedOut": 1})
    assert choosing.tasks((), waiting=False, failed=True)(bad)
    assert choosing.tasks(("Error",), waiting=False, failed=False)(bad)
    assert not choosing.tasks(("Error",), waiting=True, failed=False)(bad)
    assert not choosing.tasks(("Completed",), waiting=False, failed=True)(bad)
    assert choosing.tasks(("Creating",), waiting=False, failed=False)(task())


def pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    spec = {
        "containers": [{"name": "agent"}],
        "initContainers": [{"name": "worker", "restartPolicy": "Always"}],
    }
    return {"metadata": {}, "spec": spec, "status": {"containerStatuses": list(containers), **status}}


def test_a_pod_says_why_it_does_not_serve() -> None:
    waiting = {
        "name": "agent",
        "ready": False,
        "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}},
    }
    assert (pods.state(pod(waiting)), pods.why(pod(waiting))) == ("ErrImagePull", "no")
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]
    lonely = pod(phase="Pending", conditions=unscheduled)
    assert (pods.state(lonely), pods.why(lonely)) == ("Pending", "0/3 nodes are available")
    fine = pod(
        {"name": "agent", "ready": True, "restartCount": 1},
        phase="Running",
        initContainerStatuses=[{"name": "worker", "ready": True, "restartCount": 2}],
    )
    assert (pods.state(fine), pods.ready(fine), pods.restarts(fine), pods.why(fine)) == (
        "Running",
        "2/2",
        3,
        "",
    )
    leaving = {**fine, "metadata": {"deletionTimestamp": "2026-11-30T12:00:00Z"}}
    assert pods.state(leaving) == "Terminating"
    assert pods.state(pod(phase="Failed", reason="Evicted")) == "Evicted"


def test_columns_of_a_table_are_as_wide_as_their_cells() -> None:
    table = Table(("NAME", "N"), right=(1,))
    assert table.lines([("a", "1"), ("schön", "22")]) == ["NAME     N", "a        1", "schön   22"]
    assert table.lines([("longer name", "3")]) == ["longer name    3"]
    assert table.lines([("日本", "4")]) == ["日本           4"]


def test_a_letter_that_takes_two_columns_counts_as_two() -> None:
    assert Table(("A", "B")).lines([("日本", "x")]) == ["A      B", "日本   x"]


def test_a_cell_stays_in_its_line() -> None:
    assert Table(("A", "B")).lines([("one\ntwo", "\tx ")]) == ["A         B", "one two   x"]


def test_what_others_wrote_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[2Jb\x9b31mc\x07"
    assert Table(("A",)).lines([(hostile,)])[1] == "a\\x1b[2Jb\\x9b31mc\\x07"
    write_facts([("Failures", f"one\n{hostile}")])
    assert capsys.readouterr().out == "Failures   one\n           a\\x1b[2Jb\\x9b31mc\\x07\n"


def test_colours_are_beside_the_words() -> None:
    plain, coloured = (Table(("STATUS", "B"), coloured=on).lines([("Error", "x")]) for on in (False, True))
    assert plain == ["STATUS   B", "Error    x"]
    assert coloured[1] == "\x1b[31mError\x1b[0m    x"


def test_a_long_list_of_indexes_is_cut_between_two() -> None:
    assert shortened("1,3,5", 5) == "1,3,5"
    assert shortened("1,3,5,7", 5) == "1,3 …"


def test_a_task_is_described() -> None:
    obj = {
        "metadata": {"name": "t", "namespace": "n", "creationTimestamp": "2026-11-30T11:59:00Z"},
        "spec": {
            "session": "demo",
            "dependsOn": [{"task": "a"}, {"task": "b", "output": "o", "index": 3}, {"result": "r"}],
            "options": {"priority": 3, "application": {"name": "x"}},
            "ttlSecondsAfterFinished": 60,
        },
        "status": {
            "phase": "Completed",
            "parent": {"name": "p", "uid": "u", "index": 7},
            "results": [{"name": "result", "size": 2, "inline": "49"}, {"name": "other"}],
        },
    }
    facts = dict(described("task", obj, NOW))
    assert facts["Age"] == "60s"
    assert facts["Needs"] == "a, b.o:3, result r"
    assert facts["Options"] == "priority=3, application={name=x}"
    assert facts["Submitted by"] == "p, element 7"
    assert facts["Kept"] == "60 s after its end"
    assert facts["Results"] == "result: 2 bytes: 49\nother: not there yet"
    assert "Failures" not in facts


def test_a_tree_is_drawn() -> None:
    leaf = Member("leaf", "4", "Completed", "1/1", "", index="2")
    left, right = (
        Member("left", "2", "Error", "0/1", "", children=[leaf]),
        Member("right", "3", "Creating", "", ""),
    )
    root = Member("root", "1", "Processing", "0/2", "", children=[left, right], more=True)
    assert list(lines(root, NOW)) == [
        "root Processing 0/2",
        "├── left Error 0/1",
        "│   └── leaf Completed 1/1 (by element 2)",
        "├── right Creating",
        "└── …",
    ]
