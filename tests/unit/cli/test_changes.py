"""Lists that are watched: each version once, whatever breaks off in between."""

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest

from armonik_sdk.apiserver import TASKS
from armonik_sdk.cli.cluster import changes as module
from armonik_sdk.cli.cluster.access import Cluster
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.client.errors import Refused, Unavailable
from armonik_sdk.client.transport.kube import Kube
from armonik_sdk.client.transport.shared_watch import Expired


def task(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": version}}


class Apiserver:
    """Gives a script: a list of objects, then what each watch does."""

    namespace = "default"

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[Any]]) -> None:
        self._lists, self._watches = lists, watches
        self.versions: list[str] = []

    async def pages(self, *_: object, **__: object) -> AsyncIterator[dict[str, Any]]:
        if not self._lists:
            raise Refused("the end of the script")
        yield {"metadata": {"resourceVersion": "10"}, "items": self._lists.pop(0)}

    async def watch(self, *arguments: object, **_: object) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.versions.append(str(arguments[2]))
        for step in self._watches.pop(0) if self._watches else [Expired("old")]:
            if isinstance(step, Exception):
                raise step
            yield step


async def seen(apiserver: Apiserver, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What comes until the script ends."""
    monkeypatch.setattr(module, "LONGEST_DELAY", 0.01)
    cluster = Cluster(cast("Kube", apiserver), Settings())
    found: list[tuple[str, list[str]]] = []

    async def look() -> None:
        async for event, objects in module.changes(cluster, TASKS):
            found.append((event, [obj["metadata"]["name"] for obj in objects]))

    with pytest.raises(Refused, match="the end of the script"):
        await look()
    return found


async def test_what_a_second_list_brings_unchanged_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [[task("a", "1"), task("b", "2")], [task("a", "1"), task("b", "7"), task("c", "8")]]
    apiserver = Apiserver(lists, [[("MODIFIED", task("a", "1")), ("ADDED", task("d", "3")), Expired("old")]])
    assert await seen(apiserver, monkeypatch) == [
        ("LISTED", ["a", "b"]),
        ("ADDED", ["d"]),
        ("LISTED", ["b", "c"]),
    ]


@pytest.mark.parametrize("error", [Unavailable("503"), aiohttp.ClientError("reset"), TimeoutError()])
async def test_a_watch_that_breaks_off_is_made_up_by_another_list(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    apiserver = Apiserver([[task("a", "1")], [task("a", "2")]], [[error]])
    assert await seen(apiserver, monkeypatch) == [("LISTED", ["a"]), ("LISTED", ["a"])]


async def test_a_watch_continues_where_the_one_before_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
    apiserver = Apiserver([[]], [[bookmark], [("DELETED", task("a", "21"))]])
    assert await seen(apiserver, monkeypatch) == [("DELETED", ["a"])]
    assert apiserver.versions == ["10", "20", "21"]


async def test_a_first_list_without_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    apiserver = Apiserver([], [])
    assert await seen(apiserver, monkeypatch) == []
