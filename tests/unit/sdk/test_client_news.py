"""Changes in RESULTS: what a listener is given, and the one subscription that all of a session share."""

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from armonik_sdk.client.transport.result_updates import HELD_BYTES, ResultUpdates, SharedUpdates, Take


class Nats:
    """Counts subscriptions, and publishes to those that are there."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.open: dict[str, Take] = {}

    async def subscribe(self, subject: str, take: Take) -> Subscription:
        self.subjects.append(subject)
        self.open[subject] = take
        subscription = Subscription(Client())

        async def unsubscribe(limit: int = 0) -> None:
            del self.open[subject]

        subscription.unsubscribe = unsubscribe  # type: ignore[method-assign]
        return subscription

    async def publish(self, key: str, content: bytes = b"new") -> None:
        for take in list(self.open.values()):
            await take(Msg(Client(), subject=f"$KV.RESULTS.{key}", data=content))


async def test_news_carry_the_last_content_of_each_key() -> None:
    news = ResultUpdates()
    for key, content in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        news.take(key, content)
    assert await news.next(1) == {"a": b"3", "b": b"2"}
    assert await news.next(0) == {}


async def test_news_that_nobody_reads_do_not_fill_the_memory() -> None:
    news = ResultUpdates()
    large = bytes(HELD_BYTES // 2)
    for key in "abc":
        news.take(key, large)
    news.take("a", b"small")
    news.take("c", b"now there is room")
    assert await news.next(1) == {"a": b"small", "b": large, "c": b"now there is room"}


async def test_a_listener_that_is_woken_looks_itself() -> None:
    shared = SharedUpdates(Nats().subscribe)
    async with shared.listen("ns.s.t.*") as news:
        shared.wake()
        assert await news.next(60) == {}


async def test_all_listeners_of_a_session_share_one_subscription() -> None:
    nats = Nats()
    shared = SharedUpdates(nats.subscribe)
    async with shared.listen("ns.s.t1.*") as first:
        async with shared.listen("ns.s.t2.*", "ns.s.result.r") as second, shared.listen("ns.o.t1.*") as other:
            assert nats.subjects == ["$KV.RESULTS.ns.s.>", "$KV.RESULTS.ns.o.>"]
            for key in ("ns.s.t1.0", "ns.s.t2.5", "ns.s.result.r", "ns.s.result.q"):
                await nats.publish(key)
            assert await first.next(1) == {"ns.s.t1.0": b"new"}
            assert await second.next(1) == {"ns.s.t2.5": b"new", "ns.s.result.r": b"new"}
            assert await other.next(0) == {}
        assert list(nats.open) == ["$KV.RESULTS.ns.s.>"]
        await nats.publish("ns.s.t1.8")
        assert await first.next(1) == {"ns.s.t1.8": b"new"}
    assert nats.open == {}
    async with shared.listen("ns.s.t1.*"):
        assert list(nats.open) == ["$KV.RESULTS.ns.s.>"]
