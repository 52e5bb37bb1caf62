"""The independent checker: no status goes back, and nothing is left of what was deleted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from release import until

from armonik_sdk.api.names import CONTROL, bucket_stream

from .census import census
from .ledger import Ledger
from .statuses import wrong

GARBAGE_SECONDS = 240
"""Within which nothing may be left of a deleted namespace."""


class StatusChecker:
    """Compares each status of each Task with the one before."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: dict[str, dict[str, Any]] = {}

    async def watch(self, namespace: str) -> None:
        """Watch until cancelled; `kubectl` lists anew after each break."""
        words = ("get", "tasks.armonik.io", "--namespace", namespace, "--watch", "--output", "json")
        while True:
            process = await asyncio.create_subprocess_exec(
                "kubectl", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            assert process.stdout is not None
            try:
                await self._read(process.stdout)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.sleep(1.0)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        decoder, text = json.JSONDecoder(), ""
        while chunk := await stream.read(1 << 16):
            text += chunk.decode(errors="replace")
            while text := text.lstrip():
                try:
                    obj, end = decoder.raw_decode(text)
                except ValueError:
                    break
                text = text[end:]
                self.compare(obj)

    def compare(self, task: dict[str, Any]) -> None:
        """One state of a Task."""
        uid, status = task["metadata"]["uid"], task.get("status") or {}
        before = self._before.get(uid, {})
        self._before[uid] = status
        self._ledger.events += 1
        where = f"{task['metadata']['namespace']}/{task['metadata']['name']}"
        for each in wrong(before, status):
            self._ledger.violated(f"{where}: {each}")


def nothing_left(namespace: str, ledger: Ledger) -> None:
    """After the namespace was deleted: no object, no message, no key of it."""

    def clean() -> bool:
        found = census(namespace)
        found.pop(bucket_stream(CONTROL))  # short-lived entries say to agents that work was deleted
        return not any(found.values())

    try:
        until(f"nothing is left of {namespace}", clean, GARBAGE_SECONDS)
    except AssertionError:
        left = {name: count for name, count in census(namespace).items() if count}
        ledger.violated(f"of the deleted namespace {namespace} is left: {left}")
