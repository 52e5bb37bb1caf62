"""`armonikctl` against a real apiserver: what it reads, changes and refuses; the test plays the operator."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ctl import Ctl, ctl, later

from armonik_sdk.cli import main as program

__all__ = ["ctl"]
pytestmark = [
    pytest.mark.integration,
    # The program ends when its connections over TLS are closed on its side, and waits for no more.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


def test_a_session_is_created_shown_and_listed_in_every_form(ctl: Ctl) -> None:
    made = ctl.ok(
        *("session", "create", "demo", "-p", "default", "-p", "gpu", "--default-partition", "gpu"),
        *("--priority", "7", "--max-retries", "0", "--timeout", "5m", "--ttl", "1d"),
        *("--option", "colour=green", "--option", "size=big"),
    )
    assert made.out == "demo\n"
    spec = ctl.read("sessions", "demo")["spec"]
    assert spec["partitions"] == ["default", "gpu"]
    assert spec["ttlSecondsAfterFinished"] == 86400
    assert spec["taskDefaults"] == {
        "partition": "gpu",
        "priority": 7,
        "maxRetries": 0,
        "maxDurationSeconds": 300,
        "options": {"colour": "green", "size": "big"},
    }
    counts = {"total": 10, "succeeded": 4, "failed": 1, "running": 5}
    ctl.status("sessions", "demo", {"phase": "Running", "progress": "4/10", "elements": counts})
    ctl.ok("session", "create", "other", "-p", "default")
    table = ctl.ok("sessions", "list")
    assert table.out.splitlines()[0].split() == ["NAME", "STATUS", "PROGRESS", "FAILED", "RUNNING", "AGE"]
    assert [row[:5] for row in table.rows] == [
        ["demo", "Running", "4/10", "1", "5"],
        ["other", "Pending", "0", "0", table.rows[1][4]],
    ]
    assert (
        ctl.ok("session", "list", "-o", "name").out == "session.armonik.io/demo\nsession.armonik.io/other\n"
    )
    lines = ctl.ok("session", "list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["metadata"]["name"] for line in lines] == ["demo", "other"]
    listed = ctl.ok("aks", "list", "-o", "json").json
    assert (listed["kind"], listed["apiVersion"]) == ("List", "v1")
    assert listed["items"][0] == ctl.ok("session", "get", "demo", "-o", "json").json
    assert listed == yaml.safe_load(ctl.ok("session", "list", "-o", "yaml").out)
    shown = ctl.ok("session", "get", "demo").out
    assert "Partitions   default, gpu" in shown
    assert "10 in all: 5 running, 4 succeeded, 1 failed" in shown
    assert ctl.ok("session", "get", "@latest", "-o", "name").out.startswith("session.armonik.io/")


def test_json_is_what_kubectl_writes(ctl: Ctl) -> None:
    ctl.ok("session", "create", "demo", "-p", "default")
    for what, own in ((["sessions"], ["session", "list"]), (["session", "demo"], ["session", "get", "demo"])):
        theirs = ctl.apiserver.kubectl("get", *what, "-n", ctl.namespace, "-o", "json")
        assert theirs.returncode == 0, theirs.stderr
        assert ctl.ok(*own, "-o", "json").json == json.loads(theirs.stdout)


def test_an_empty_list_is_no_error_and_says_so_on_stderr(ctl: Ctl) -> None:
    done = ctl.ok("session", "list")
    assert (done.out, done.err) == ("", f"No sessions found in namespace {ctl.namespace}.\n")
    assert ctl.ok("session", "list", "-o", "json").json["items"] == []
    assert yaml.safe_load(ctl.ok("session", "list", "-o", "yaml").out)["items"] == []
    assert ctl("session", "get", "@latest").code == 3


def test_sessions_are_chosen_by_phase_and_sorted(ctl: Ctl) -> None:
    for name, phase, pending in (("a", "Running", 3), ("b", "Paused", 7), ("c", "", 0)):
        ctl.ok("session", "create", name, "-p", "default")
        if phase:
            counts = {"total": pending, "pending": pending}
            ctl.status("sessions", name, {"phase": phase, "elements": counts})

    def names(*arguments: str) -> list[str]:
        return [row[0] for row in ctl.ok("session", "list", *arguments).rows]

    assert names("--phase", "Paused") == ["b"]
    assert names("--phase", "running,paused") == ["a", "b"]
    assert names("--phase", "Pending") == ["c"]
    assert names("--sort", "left") == ["b", "a", "c"]
    assert names("--sort", "name") == ["a", "b", "c"]
    assert names("-l", "team=a") == []
    everywhere = ctl.ok("session", "list", "-A")
    assert everywhere.out.startswith("NAMESPACE ")
    assert [ctl.namespace, "a"] in [row[:2] for row in everywhere.rows]


def test_sessions_change_their_state_and_are_waited_for(ctl: Ctl) -> None:
    ctl.ok("session", "create", "demo", "-p", "default")
    waits = later(lambda: ctl.status("sessions", "demo", {"phase": "Paused"}))
    done = ctl.ok("session", "pause", "demo", "--wait", "--wait-timeout", "1m")
    waits.join()
    assert done.err == "session demo pauses\n"
    assert ctl.read("sessions", "demo")["spec"]["desiredState"] == "Paused"
    ctl.ok("session", "resume", "demo", "-q")
    over = ctl("session", "close", "demo", "--yes", "--wait-timeout", "1s")
    assert over.code == 124
    assert "1 s are over" in over.err
    refused = ctl("session", "resume", "demo")
    assert refused.code == 4
    assert "a session cannot go from Closed to Running" in refused.err
    assert ctl("session", "cancel", "no-such", "--yes").code == 3


def test_what_cannot_be_undone_is_asked(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    ctl.ok("session", "create", "demo", "-p", "default")
    for answer, code, state in (("n\n", 4, "Running"), ("y\n", 0, "Cancelled")):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        done = ctl("session", "cancel", "demo")
        assert (done.code, ctl.read("sessions", "demo")["spec"]["desiredState"]) == (code, state)
        assert "End all elements, also those that run, of session demo? [y/N]" in done.err


def test_sessions_are_deleted_and_waited_for(ctl: Ctl) -> None:
    for name in ("a", "b"):
        ctl.ok("session", "create", name, "-p", "default")
    done = ctl.ok(
        "session", "delete", "a", "b", "gone", "--yes", "--ignore-not-found", "--wait-timeout", "1m"
    )
    assert "session gone does not exist" in done.err
    assert ctl.ok("session", "list", "-o", "name").out == ""
    assert ctl("session", "delete", "a", "--yes").code == 3


def test_submission_is_closed_for_clients_or_workers(ctl: Ctl) -> None:
    ctl.ok("session", "create", "demo", "-p", "default")
    ctl.ok("session", "stop-submission", "demo", "--no-workers")
    assert ctl.read("sessions", "demo")["spec"]["submission"] == {"client": "Closed", "worker": "Open"}
    assert "closed for clients" in ctl.ok("session", "get", "demo").out
    assert ctl("session", "stop-submission", "demo", "--no-workers", "--no-clients").code == 2


def test_a_name_that_is_taken_or_wrong_is_refused(ctl: Ctl) -> None:
    ctl.ok("session", "create", "demo", "-p", "default")
    assert ctl("session", "create", "demo", "-p", "other").code == 4
    again = ctl.ok("session", "create", "demo", "-p", "other", "--if-not-exists")
    assert again.out == "demo\n"
    assert "exists already" in again.err
    wrong = ctl("session", "create", "Demo", "-p", "default")
    assert wrong.code == 4
    assert "metadata.name" in wrong.err
    many = ctl("session", "create", "x", "-p", "a", "-p", "b")
    assert many.code == 2
    assert "--default-partition" in many.err


def test_a_watched_list_shows_changes_until_it_is_ended(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    ctl.ok("session", "create", "demo", "-p", "default")
    from armonik_sdk.cli.output import writers

    seen: list[str] = []
    original = writers.JsonLines.page

    def page(self: writers.JsonLines, objects: Any) -> None:
        original(self, objects)
        seen.extend(obj.get("status", {}).get("phase", "") for obj in objects)
        if len(seen) == 1:
            ctl.status("sessions", "demo", {"phase": "Running"})
        if seen[-1] == "Running":
            raise KeyboardInterrupt

    monkeypatch.setattr(writers.JsonLines, "page", page)
    done = ctl("session", "list", "-w", "-o", "jsonl")
    assert (done.code, seen) == (130, ["", "Running"])


def test_names_are_completed_from_the_cluster(
    ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("demo", "deep", "other"):
        ctl.ok("session", "create", name, "-p", "default")
    monkeypatch.setattr("armonik_sdk.cli.commands.completing.SECONDS", 30.0)
    typed = ["session", "close", "-n", ctl.namespace, "--kubeconfig"]
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text("{}")
    for kubeconfig, offered in ((ctl.apiserver.kubeconfig, "deep\n"), (nowhere, "")):
        ctl.capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["kubectl_complete-armonik", *typed, str(kubeconfig), "demo", "de"])
        assert program.complete() == 0
        assert ctl.capsys.readouterr() == (f"{offered}:4\n", "")
    asked = ["explain", "-n", ctl.namespace, "--kubeconfig", str(ctl.apiserver.kubeconfig), "session/de"]
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-armonik", *asked])
    assert program.complete() == 0
    assert ctl.capsys.readouterr().out == "session/deep\nsession/demo\n:4\n"


def test_the_version_names_the_operators_where_it_can_be_read(ctl: Ctl) -> None:
    assert ctl.ok("version", "-o", "json").json["operator"] == ""
    labels = {"app.kubernetes.io/name": "armonik", "app.kubernetes.io/component": "operator"}
    pod = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "operator", "image": "operator:1"}]},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "operator", "labels": {**labels, "app.kubernetes.io/version": "9.8.7"}},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    }
    configuration = {
        "metadata": {"name": "armonik-service-configuration"},
        "data": {"operator-namespace": ctl.namespace},
    }
    for path, body in (("/apis/apps/v1", deployment), ("/api/v1", configuration)):
        plural = "deployments" if body is deployment else "configmaps"
        code, answer = ctl.apiserver.request("POST", f"{path}/namespaces/{ctl.namespace}/{plural}", body)
        assert code == 201, answer
    assert "operator   9.8.7" in ctl.ok("version").out
