"""Logs: lines as they come in pieces, whose they are, and which are shown."""

import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from armonik_sdk.cli.actions.daily import logs
from armonik_sdk.cli.actions.tasks import failures
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.errors import BadInput, Missing
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.views.log_lines import COMPARED, Choice, Line, Seen, harmless, parsed, shown
from armonik_sdk.client.errors import NotFound, Refused, Unavailable
from armonik_sdk.client.transport.kube import TASKS, Kube
from armonik_sdk.client.transport.shared_watch import Expired

UID = "abc449f9-49e1-4caa-8cbd-fc5693e65abc"
STAMP = "2026-11-30T12:00:00.123456789Z"


def test_a_line_says_when_and_of_which_element_it_is() -> None:
    assert parsed("p", f"{STAMP} [{UID}.7] some text".encode()) == Line("p", STAMP, "some text", UID, 7)
    assert parsed("p", f"{STAMP} [not an element] x".encode()) == Line("p", STAMP, "[not an element] x")
    assert parsed("p", b"no stamp \xff") == Line("p", "", "no stamp \\xff")
    assert parsed("p", f"{STAMP} [{UID}.7] ".encode()).text == ""
    assert parsed("p", f"{STAMP} [{UID}] of one".encode()) == Line("p", STAMP, "of one", UID, 0)


def test_lines_are_chosen_by_task_element_and_pattern() -> None:
    line = Line("p", "", "some text", UID, 7)
    assert Choice().takes(line)
    assert Choice({UID: "t"}, 7, re.compile("e te")).takes(line)
    assert not Choice({UID: "t"}, 8).takes(line)
    assert not Choice({UID: "t"}, pattern=re.compile("^text")).takes(line)
    assert not Choice({"other": "t"}).takes(line)
    assert not Choice({UID: "t"}).takes(Line("p", "", "of no element"))


def test_a_line_is_shown_with_what_is_wanted_of_where_it_comes_from() -> None:
    line = Line("p", STAMP, "text", UID, 7)
    assert shown(line, "squares", timestamps=False, pods=False) == "[squares/7] text"
    assert shown(line, "", timestamps=True, pods=True) == f"{STAMP} p [{UID}/7] text"
    assert shown(Line("p", "", "text"), "", timestamps=False, pods=False) == "text"


def test_on_a_terminal_a_line_has_its_colours_and_no_other_effect() -> None:
    said = "a\tb \x1b[1;31mred\x1b[2K\x1b]0;title\x07 \x9b2J\r"
    shown = "a\tb \x1b[1;31mred\\x1b[2K\\x1b]0;title\\x07 \\x9b2J\\x0d"
    assert harmless(said, coloured=True) == f"{shown}\x1b[0m"
    assert harmless(said, coloured=False) == shown.replace("\x1b", "\\x1b")
    assert harmless("plain", coloured=True) == "plain"


def of(pod: str, *texts: str, index: int = 7) -> list[Line]:
    return [Line(pod, "", text, UID, index) for text in texts]


def seen(*lines: Line) -> Seen:
    found = Seen()
    for line in lines:
        found.add(line)
    return found


def test_an_execution_is_recognised_by_its_last_lines() -> None:
    known = seen(*of("p", "begin", "failed"), *of("p", "begin", "done"), *of("q", "begin", "died"))
    for there in (["begin", "done"], ["done"], ["done", "begin"], ["begin", "died"], []):
        assert known.has(of("", *there)), there
    for other in (["begin", "failed"], ["begin", "begin", "done"], ["begin", "other"], ["done", ""]):
        assert not known.has(of("", *other)), other
    assert not known.has(of("", "begin", "done", index=8))
    assert not seen().has(of("", "x"))


def test_lines_of_an_execution_are_the_same_in_a_log_and_where_they_are_kept() -> None:
    many = [str(number) for number in range(5 * COMPARED)]
    assert seen(*of("p", *many)).has(of("", *many[:9], "[77 bytes are left out]", *many[-COMPARED:]))
    assert not seen(*of("p", *many[:-1])).has(of("", *many))
    assert seen(*of("p", "x" * 1000, "10 %")).has(of("", "x" * 100_000, "10 %\r"))


GIVEN: dict[str, Any] = {
    "task": None,
    "session": None,
    "partition": None,
    "follow": False,
    "since": None,
    "tail": None,
    "previous": False,
    "pattern": None,
    "container": "worker",
    "timestamps": False,
}


def test_what_the_apiserver_is_asked_for() -> None:
    wanted = logs.Wanted.of(GIVEN | {"task": "t/7", "since": 90.0, "previous": True, "follow": True})
    assert (wanted.task, wanted.index) == ("t", 7)
    query = {"container": "worker", "timestamps": "true", "follow": "true", "previous": "true"}
    assert wanted.query == query | {"sinceSeconds": "90"}


@pytest.mark.parametrize("wrong", [{"task": "t/x"}, {"task": "/7"}, {"task": "t", "pattern": "("}])
def test_an_element_or_a_pattern_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        logs.Wanted.of(GIVEN | wrong)


class Server:
    """An apiserver with a task, a partition and pods with logs."""

    kind = "functions"
    status: dict[str, Any] = {"partition": "python"}  # noqa: RUF012 - replaced, not changed
    printed: list[bytes] = [  # noqa: RUF012
        f"{STAMP} [{UID}.0] zero\n{STAMP} [{UID}.1] o".encode(),
        f"ne\n{STAMP} [{UID[::-1]}.0] other task\n{STAMP} of no element\n".encode(),
        f"{STAMP} [{UID}.1] last, without an end".encode(),
    ]

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/pods/new/log"):
            text = {"kind": "Status", "message": "container worker has not started"}
            return web.json_response(text, status=400)
        if "watch" in request.query:
            version = int(request.query["resourceVersion"])
            return web.json_response({"kind": "Status", "message": "no watch"}, status=version)
        if request.path.endswith("/log"):
            self.queries.append(dict(request.query))
            response = web.StreamResponse()
            await response.prepare(request)
            for piece in self.printed:
                await response.write(piece)
            return response
        if request.path.endswith("/pods"):
            assert request.query["labelSelector"] == "armonik.io/partition in (python)"
            return web.json_response({"metadata": {}, "items": [_named("pod-1"), _named("new")]})
        if request.path.endswith("/tasks/squares"):
            return web.json_response(_named("squares", UID) | {"status": self.status})
        if request.path.endswith("/partitions/python"):
            return web.json_response(_named("python") | {"status": {"worker": {"kind": self.kind}}})
        return web.json_response({"kind": "Status", "message": "not found"}, status=404)


def _named(name: str, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or name}}


@pytest.fixture
def served() -> Server:
    return Server()


@pytest.fixture
async def cluster(tmp_path: Path, served: Server) -> AsyncIterator[Cluster]:
    app = web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    async with TestServer(app) as server:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": str(server.make_url("")).rstrip("/")}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        connected = await Cluster.connect(Settings(kubeconfig=str(tmp_path / "kubeconfig")))
        yield connected
        await connected.close()


async def test_lines_are_whole_however_they_come(cluster: Cluster) -> None:
    lines = [line async for line in cluster.kube.log_lines("default", "pod-1", {})]
    assert len(lines) == 5
    assert lines[1] == f"{STAMP} [{UID}.1] one".encode()
    assert lines[-1].endswith(b"without an end")


async def test_a_line_without_an_end_is_handed_on_in_parts(cluster: Cluster, served: Server) -> None:
    served.printed = [b"x" * 25 + b"\ny"]
    lines = [line async for line in cluster.kube.log_lines("default", "pod-1", {}, most=10)]
    assert b"".join(lines) == b"x" * 25 + b"y"
    assert max(map(len, lines)) <= 25
    served.printed = [b"x" * 25]
    assert [len(line) async for line in cluster.kube.log_lines("default", "pod-1", {}, most=10)] == [
        10,
        10,
        5,
    ]


async def test_a_log_that_there_is_not_says_why(cluster: Cluster) -> None:
    with pytest.raises(Refused, match="has not started"):
        _ = [line async for line in cluster.kube.log_lines("default", "new", {})]
    with pytest.raises(NotFound):
        await cluster.kube.ask("GET", "/nothing")
    assert isinstance(cluster.kube, Kube)


async def test_what_a_kubelet_says_of_a_removed_container_is_no_log(cluster: Cluster, served: Server) -> None:
    gone = b"unable to retrieve container logs for containerd://ac2dd82e"
    served.printed = [gone]
    assert await cluster.kube.log_end("default", "pod-1", "worker") == ""
    with pytest.raises(NotFound, match="container of pod pod-1 is removed"):
        _ = [line async for line in cluster.kube.log_lines("default", "pod-1", {})]
    served.printed = [b"a worker's line\n", gone]
    lines = [line async for line in cluster.kube.log_lines("default", "pod-1", {})]
    assert lines == [b"a worker's line", gone], "a worker may print it too"


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, Refused), (404, NotFound), (410, Expired), (429, Unavailable), (503, Unavailable)],
)
async def test_a_watch_that_is_not_opened_says_whether_to_try_again(
    cluster: Cluster, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match="no watch"):
        _ = [event async for event in cluster.kube.watch(TASKS, "default", str(status))]


async def test_the_lines_of_a_task_are_shown(
    cluster: Cluster, served: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares"}))
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "[squares/0] zero",
        "[squares/1] one",
        "[squares/1] last, without an end",
    ]
    assert "pod new: container worker has not started" in err
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares/1", "tail": 1}))
    assert capsys.readouterr().out == "[squares/1] last, without an end\n"
    cluster.settings.output = "jsonl"
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares", "pattern": "zer"}))
    assert capsys.readouterr().out.count("\n") == 1


class KeptTask:
    """A task of the client, of whose elements something is kept."""

    texts: dict[int, str] = {1: "one\nlast, kept\n", 2: "two, whose pod is gone"}  # noqa: RUF012

    async def printed(self, index: int) -> str | None:
        """Of one element."""
        return self.texts.get(index)

    async def printed_by_all(self) -> AsyncIterator[tuple[int, str]]:
        """Of all."""
        for one in self.texts.items():
            yield one


@pytest.fixture
def kept(cluster: Cluster, served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements have ended."""

    class Client:
        async def task(self, name: str) -> KeptTask:
            assert name == "squares"
            return KeptTask()

    served.status = {"partition": "python", "elements": {"succeeded": 3}}
    monkeypatch.setattr(Cluster, "client", Client())


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({"task": "squares/1"}, ["[squares/1] one", "[squares/1] last, kept"]),
        ({"task": "squares/1", "tail": 1}, ["[squares/1] last, kept"]),
        ({"task": "squares/1", "pattern": "^o"}, ["[squares/1] one"]),
        ({"task": "squares/2"}, ["[squares/2] two, whose pod is gone"]),
        ({"task": "squares/0"}, ["[squares/0] zero"]),
        ({"task": "squares/2", "since": 60.0}, []),
        ({"task": "squares/2", "previous": True}, []),
    ],
)
async def test_of_an_element_that_has_ended_the_kept_lines_are_shown(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], asked: dict[str, Any], lines: list[str]
) -> None:
    await logs.show(cluster, logs.Wanted.of(GIVEN | asked))
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.usefixtures("kept")
async def test_of_a_task_kept_lines_are_shown_of_executions_that_no_pod_has(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {0: "zero, once more\n", 1: "one\nlast, without an end", 2: "two, whose pod is gone"}
    monkeypatch.setattr(KeptTask, "texts", texts)
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares"}))
    assert capsys.readouterr().out.splitlines() == [
        "[squares/0] zero",
        "[squares/1] one",
        "[squares/1] last, without an end",
        "[squares/0] zero, once more",
        "[squares/2] two, whose pod is gone",
    ]
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares", "pattern": "two|zero$"}))
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("terminal", "line"), [(True, "[squares/2] \\x1b[2J"), (False, "[squares/2] \x1b[2J")]
)
async def test_what_an_element_printed_does_nothing_to_a_terminal(
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    line: str,
) -> None:
    monkeypatch.setattr(KeptTask, "texts", {2: "\x1b[2J"})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares/2"}))
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.usefixtures("kept")
async def test_who_may_not_read_what_is_kept_sees_what_pods_have(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def printed(self: KeptTask, index: int) -> str | None:
        raise Refused("secrets is forbidden")

    monkeypatch.setattr(KeptTask, "printed", printed)
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares/0"}))
    out, err = capsys.readouterr()
    assert out == "[squares/0] zero\n"
    assert "not shown: secrets is forbidden" in err


async def test_a_failure_without_a_traceback_is_shown_with_the_last_lines(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = failures.Failed(7, "AttemptsExhausted", "died", 4, printed="last \x1b[31mwords")
    failures._for_people(cluster, [lost])
    assert capsys.readouterr().out.endswith("\nElement 7:\nIt printed last:\nlast \\x1b[31mwords\n")
    cluster.settings.output = "jsonl"
    failures._for_programs(cluster, "squares", [lost])
    assert json.loads(capsys.readouterr().out)["printed"] == "last \x1b[31mwords"
    assert failures._last_lines(b"".join(b"%d\n" % number for number in range(99))).split("\n") == [
        str(number) for number in range(79, 99)
    ]


async def test_of_workers_that_mark_no_lines_all_are_shown(
    cluster: Cluster, served: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    served.kind = "armonik"
    await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares"}))
    out, err = capsys.readouterr()
    assert "of no element" in out
    assert "lines of partition python are not marked" in err


async def test_a_task_that_runs_nowhere_has_no_logs(cluster: Cluster, served: Server) -> None:
    served.status = {}
    with pytest.raises(Missing, match="armonikctl explain task/squares"):
        await logs.show(cluster, logs.Wanted.of(GIVEN | {"task": "squares"}))
