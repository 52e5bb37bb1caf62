"""Results that clients make, from a developer's machine: through port-forwards, with real workers."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import until
from space import PARTITION, SESSION, Space, space
from test_client_outside import _forwards

from armonik_sdk.client import Client, NotFound, ResultDeleted, ResultInfo, ResultState, SessionHandle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WAIT = 120.0
MIB = 1024 * 1024
KIND = "sessions.armonik.io"


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    with space("results") as made:
        yield made


def test_a_task_waits_for_a_result_that_a_client_uploads_in_pieces(here: Space, tmp_path: Path) -> None:
    async def create(client: Client) -> tuple[str, str]:
        model, payload = await (await client.session(SESSION)).create_results(["model", "payload"])
        return model.id, payload.id

    model, payload = here.sdk(create)
    here.submit("waits", "concat", dependsOn=[{"result": model}], payload={"result": payload})
    waiting = here.until(
        "waits", "says why", lambda s: any(c["type"] == "Waiting" for c in s.get("conditions", []))
    )
    (why,) = (c for c in waiting["conditions"] if c["type"] == "Waiting")
    assert (why["status"], why["reason"]) == ("True", "WaitingForData")
    assert "is not written yet" in why["message"]
    assert (waiting["phase"], here.observe.kinds(here.get("waits")["metadata"]["uid"])) == ("Pending", [])

    async def upload(client: Client) -> dict[str, ResultInfo]:
        session = await client.session(SESSION)

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"one ", b"two ", b"three"):
                yield piece

        await session.result(model).upload(pieces())
        await session.result(payload).upload("")
        task = await client.task("waits")
        assert await task.result(timeout=WAIT) == b"one two three"
        assert await task.output().download(tmp_path / "copy", WAIT) == 13
        return {info.id: info async for info in session.results()}

    listed = here.sdk(upload)
    here.end("waits")
    assert {
        name: (listed[i].name, listed[i].size) for name, i in (("model", model), ("payload", payload))
    } == {
        "model": ("model", 13),
        "payload": ("payload", 0),
    }
    assert {info.state for info in listed.values()} == {ResultState.COMPLETED}
    assert all(info.ended is not None for info in listed.values())
    assert (tmp_path / "copy").read_bytes() == b"one two three"


def test_transfers_survive_the_port_forwards(here: Space, tmp_path: Path) -> None:
    async def transfer(client: Client) -> str:
        (result,) = await (await client.session(SESSION)).create_results(["large"])
        digest = hashlib.sha256()

        def content() -> Iterator[bytes]:
            for number in range(40):
                if number == 20:
                    for pid in _forwards():
                        os.kill(pid, signal.SIGKILL)
                piece = bytes([number]) * MIB
                digest.update(piece)
                yield piece

        assert (await result.upload(content())).size == 40 * MIB
        received, pieces = hashlib.sha256(), 0
        async for piece in result.chunks(WAIT):
            if pieces == 2:
                for pid in _forwards():
                    os.kill(pid, signal.SIGKILL)
            received.update(piece)
            pieces += 1
        assert pieces == 10
        assert received.hexdigest() == digest.hexdigest()
        await result.delete()
        return result.id

    result = here.sdk(transfer)
    uid = here.get(SESSION, KIND)["metadata"]["uid"]
    until("its object is gone", lambda: not here.observe.objects(uid, "results", result))


def test_a_purge_leaves_what_is_marked_for_manual_deletion(here: Space) -> None:
    here.session("purged", PARTITION)
    here.ready("session", "purged")
    uid = here.get("purged", KIND)["metadata"]["uid"]

    async def fill(client: Client) -> tuple[str, str]:
        session = await client.session("purged")
        (kept,) = await session.create_results(["kept"], manual_deletion=True)
        (gone,) = await session.create_results(["gone"])
        await kept.upload(b"keep me")
        await gone.upload(b"not me")
        return kept.id, gone.id

    kept, gone = here.sdk(fill)
    here.submit("last", of="purged", payload={"inline": "x"})
    here.end("last")
    here.patch("purged", {"desiredState": "Closed"}, KIND)
    until("the session is closed", lambda: _finished(here) == "Closed")
    here.patch("purged", {"desiredState": "Purged"}, KIND)
    until("the session is purged", lambda: _finished(here) == "Purged")
    assert [key.split("/")[3] for key in here.observe.objects(uid)] == [kept]

    async def look(client: Client) -> None:
        session: SessionHandle = await client.session("purged")
        assert await session.result(kept).result(WAIT) == b"keep me"
        assert [info.id async for info in session.results()] == [kept]
        with pytest.raises(NotFound):
            await session.result(gone).result(WAIT)
        await session.result(kept).delete()
        with pytest.raises(ResultDeleted):
            await session.result(kept).result(WAIT)

    here.sdk(look)
    until("its object is gone", lambda: not here.observe.objects(uid))
    here.delete("purged", KIND)
    assert here.observe.own_results(uid) == {}


def _finished(here: Space) -> str:
    conditions = here.status("purged", KIND).get("conditions", [])
    return next((str(c["reason"]) for c in conditions if c["type"] == "Finished"), "")
