from nats.aio.client import Client
from nats.aio.msg import Msg

from armonik_sdk.client.link import HELD_BYTES, News


def published(key: str, content: bytes) -> Msg:
    return Msg(Client(), subject=f"$KV.RESULTS.{key}", data=content)


async def test_news_carry_the_last_content_of_each_key() -> None:
    news = News()
    for key, content in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        await news.take(published(key, content))
    assert await news.next(1) == {"a": b"3", "b": b"2"}
    assert await news.next(0) == {}


async def test_news_that_nobody_reads_do_not_fill_the_memory() -> None:
    news = News()
    large = bytes(HELD_BYTES // 2)
    for key in "abc":
        await news.take(published(key, large))
    await news.take(published("a", b"small"))
    await news.take(published("c", b"now there is room"))
    assert await news.next(1) == {"a": b"small", "b": large, "c": b"now there is room"}


async def test_a_listener_that_is_woken_looks_itself() -> None:
    news = News()
    news.wake()
    assert await news.next(60) == {}
