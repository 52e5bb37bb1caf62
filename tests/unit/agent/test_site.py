"""What an agent sends to the operator keeps to its bound, however long the words of others are."""

from types import SimpleNamespace
from typing import Any

import pytest

from armonik_agent.context import AgentContext
from armonik_agent.queue.message_lease import HeldRuns
from armonik_sdk.api.bounds import MAX_EVENT_BYTES
from armonik_sdk.api.messages import Ask, PodEvent
from armonik_sdk.api.records import Owner


class Client:
    """Keeps what is published, and the callback of a subscription."""

    def __init__(self) -> None:
        self.published: list[bytes] = []
        self.callback: Any = None

    async def publish(self, _: str, data: bytes) -> None:
        self.published.append(data)

    async def subscribe(self, _: str, cb: Any, **__: object) -> None:
        self.callback = cb


@pytest.mark.parametrize("letter", ["r", "\x01", "é", "😀"])
@pytest.mark.parametrize("extra", [-1, 0, 1, 100_000])
async def test_an_event_is_cut_to_its_bound(letter: str, extra: int) -> None:
    client = Client()
    site: Any = SimpleNamespace(
        me=Owner(pod="u" * 36, process="p", name="n" * 253),
        settings=SimpleNamespace(namespace="ns"),
        client=client,
    )
    written = len(PodEvent(pod="", reason=letter).encode()) - len(PodEvent(pod="", reason="r").encode()) + 1
    around = len(PodEvent(pod=site.me.pod, name=site.me.name, reason="r").encode()) - 1
    text = letter * ((MAX_EVENT_BYTES - around) // written + extra)
    await AgentContext.publish_event(site, "worker-down", text)
    assert len(client.published[0]) <= MAX_EVENT_BYTES
    said = PodEvent.model_validate_json(client.published[0]).reason
    assert text.startswith(said)
    assert extra <= 0 or len(client.published[0]) > MAX_EVENT_BYTES - written
    assert extra > 0 or said == text


@pytest.mark.parametrize(("extra", "answers"), [(-1, 1), (0, 1), (1, 0)])
async def test_a_question_beyond_its_bound_is_not_answered(
    extra: int, answers: int, caplog: pytest.LogCaptureFixture
) -> None:
    client, given = Client(), list[bytes]()
    await HeldRuns(Owner(pod="u", process="p")).serve(client)  # type: ignore[arg-type]
    room = MAX_EVENT_BYTES + extra - len(Ask(journal="j", epoch=1).encode()) + 1
    data = Ask(journal="j" * room, epoch=1).encode()

    async def respond(answer: bytes) -> None:
        given.append(answer)

    await client.callback(SimpleNamespace(data=data, respond=respond))
    assert len(given) == answers
    assert (f"has {len(data)} bytes, more than {MAX_EVENT_BYTES}" in caplog.text) is not answers
