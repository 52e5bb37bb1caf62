"""What `armonikctl top` makes of objects: rows, rates, and which sessions it keeps."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from armonik_sdk.cli.commands.daily import top as command
from armonik_sdk.cli.forms.top import Top
from armonik_sdk.cli.main import main
from armonik_sdk.cli.overview import gathering
from armonik_sdk.cli.overview.rates import Rates
from armonik_sdk.cli.overview.sections import sections

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def session(name: str, created: str = "2026-11-30T11:00:00Z", **counts: int) -> dict[str, Any]:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": created}
    return {"metadata": meta, "status": {"phase": "Running", "elements": counts}}


def test_a_rate_needs_two_looks_and_is_of_the_last_minute() -> None:
    rates = Rates()
    assert rates.seen(0.0, {"a": 10}) == {}
    assert rates.seen(2.0, {"a": 20, "b": 5}) == {"a": 300}
    for second in range(4, 130, 2):
        found = rates.seen(second, {"a": 20, "b": 5})
    assert found == {"a": 0, "b": 0}


def test_a_rate_forgets_what_is_gone_and_is_never_negative() -> None:
    rates = Rates()
    rates.seen(0.0, {"a": 10})
    rates.seen(1.0, {})
    assert rates.seen(2.0, {"a": 10}) == {}
    assert rates.seen(3.0, {"a": 3}) == {"a": 0}


def test_sessions_with_work_are_first_then_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST", 3)
    first = gathering.FirstSessions()
    first.add([session("old", "2026-01-01T00:00:00Z", running=1, total=1)])
    first.add([session(f"s{day}", f"2026-02-0{day}T00:00:00Z", succeeded=1, total=1) for day in range(1, 6)])
    assert [obj["metadata"]["name"] for obj in first.all()] == ["old", "s5", "s4"]


def test_the_time_that_is_left_follows_from_the_rate() -> None:
    entry = gathering.session(session("demo", queued=90, running=10, succeeded=1, total=101), 50)
    idle = gathering.session(session("idle", queued=90, total=90))
    (found,) = sections(Top(namespace="default", time=NOW, sessions=[entry, idle]))
    assert found.name == "sessions"
    assert found.rows[0] == ["demo", "Running", "1/101", "0", "10", "50", "2m", "60m"]
    assert found.rows[1][5:] == ["", "", "60m"]


def test_objects_without_a_status_have_rows_too() -> None:
    partition = gathering.partition({"metadata": {"name": "p"}, "spec": {}})
    pod = gathering.pod({"metadata": {"name": "pod", "labels": {"armonik.io/partition": "p"}}})
    (first, second) = sections(Top(namespace="default", time=NOW, partitions=[partition], pods=[pod]))
    assert first.rows == [["p", "Pending", "0", "0", "0", "0", "", ""]]
    assert second.rows == [["pod", "p", "Unknown", "0/0", "0", "", ""]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "pip install 'armonik-k8s-sdk[top]'; --once does without it"),
        (["-o", "json"], "add --once"),
        (["--interval", "0.5s"], "at least 1s"),
        (["nodes"], "is not one of"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_asked(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", sys.stdout)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda _: None)
    assert main(["top", *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
