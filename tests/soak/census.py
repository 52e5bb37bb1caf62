"""How much of a namespace lies in NATS and in the object store."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nats.aio.client import Client
from observe import Observer, ask, has_accounts, left_on_nats
from release import kubectl

from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, RESULTS, TASKS, bucket_stream

_SUBJECTS = {
    JOURNAL: "armonik.journal.{}.>",
    QUEUE: "armonik.queue.{}.>",
    bucket_stream(RESULTS): "$KV.RESULTS.{}.>",
    bucket_stream(TASKS): "$KV.TASKS.{}.>",
    bucket_stream(CONTROL): "$KV.CONTROL.{}.>",
}


def census(namespace: str) -> dict[str, int]:
    """Messages by stream, and `objects` and their `bytes` in the store."""

    async def count(client: Client) -> dict[str, int]:
        js, found = client.jetstream(timeout=10), {}
        for stream, subjects in _SUBJECTS.items():
            info: Any = await js.stream_info(stream, subjects_filter=subjects.format(namespace))
            found[stream] = sum((info.state.subjects or {}).values())
        return found

    if _there(namespace) or not has_accounts():
        counted = ask(namespace, count)
    else:  # its streams are in its account, and go with it
        counted = dict.fromkeys(_SUBJECTS, len(left_on_nats(namespace)))
    sizes = Observer(namespace).objects()
    return counted | {"objects": len(sizes), "bytes": sum(sizes.values())}


def _there(namespace: str) -> bool:
    return bool(kubectl("get", "namespace", namespace, "--ignore-not-found", "--output", "name"))


def streams(namespaces: list[str]) -> dict[str, tuple[int, int]]:
    """(messages, bytes) of every stream of the installation; with accounts, of those of the namespaces."""

    async def read(client: Client) -> dict[str, tuple[int, int]]:
        js, found = client.jetstream(timeout=10), {}
        for stream in _SUBJECTS:
            state = (await js.stream_info(stream)).state
            found[stream] = (int(state.messages), int(state.bytes))
        return found

    messages: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for namespace in namespaces if has_accounts() else namespaces[:1]:
        for stream, (number, size) in ask(namespace, read).items():
            messages[stream] += number
            sizes[stream] += size
    return {stream: (messages[stream], sizes[stream]) for stream in _SUBJECTS}
