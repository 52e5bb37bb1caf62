"""Watches the apiserver with kopf. Only low-level handlers, which write nothing on objects."""

import logging
from collections.abc import Callable
from typing import Any, Final

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory  # kopf has no public name for them

from armonik_operator.clients.kube import PAGE
from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    PARTITION_LABEL,
    PARTITION_PLURAL,
    SESSION_PLURAL,
    TASK_PLURAL,
)
from armonik_sdk.apiserver import CALL_TIMEOUT

LISTED_IDLE_SECONDS: Final = 0.1
"""After which kopf ends the asyncio task of an object that was listed. It holds object and queue: with
kopf's default, 5 s, most of what is listed at a start."""
CHANGED_IDLE_SECONDS: Final = 1.0
"""The same of an object that was created or changed. The events of a short Task come within this time, and a
task of kopf for each of them costs 0.1 CPU-ms more."""
WATCH_SECONDS: Final = 30
"""Seconds after which the apiserver ends a watch. If there is a newer version it sends a bookmark before, so
the next watch continues there and nothing is listed again. One that does not end is silent, and kopf begins
anew. Bookmarks alone do not show it: a watch that is quiet gets none."""
WATCH_MARGIN: Final = 5.0
"""Seconds after that during which its end may come."""
BACKOFFS: Final = (1.0, 1.0, 2.0, 3.0, *(5.0,) * 10)
"""Seconds between the attempts of kopf at one request, together as many as by default. By default the last
ones are up to 21 s apart, and a watch came back that late after an outage."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled state: no diff is used, and kopf would copy every object at every event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """No content is compared."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """No state is stored."""

    def store(self, **_: Any) -> None:
        """Nothing is written."""


class NoProgress(kopf.ProgressStorage):
    """Stores no progress of handlers: events have none, and kopf would look for it at every event."""

    def fetch(self, **_: Any) -> None:
        """No progress is stored."""

    def store(self, **_: Any) -> None:
        """Nothing is written."""

    def purge(self, **_: Any) -> None:
        """Nothing is written."""

    def touch(self, **_: Any) -> None:
        """Nothing is written."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """There is no progress in it."""
        return essence


class Unremembered(ResourceMemories):
    """Keeps no memory of objects: kopf keeps 1 KiB of each, for kinds of handlers that are not used here."""

    async def recall(
        self,
        raw_body: Any,
        *,
        memobase: Any = None,
        noticed_by_listing: bool = False,
        ephemeral: bool = False,
    ) -> ResourceMemory:
        """A new memory for each event."""
        return await super().recall(
            raw_body, memobase=memobase, noticed_by_listing=noticed_by_listing, ephemeral=True
        )


def tune(settings: kopf.OperatorSettings, *, everywhere: bool = True) -> None:
    """Set the options of kopf: features that are not used, and time-outs.

    Of single namespaces kopf has to see which there are: one that is deleted must not end the watches of
    others.
    """
    settings.scanning.disabled = everywhere
    settings.posting.enabled = False
    settings.posting.level = logging.ERROR
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = CALL_TIMEOUT
    settings.networking.error_backoffs = BACKOFFS
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = WATCH_SECONDS + WATCH_MARGIN
    settings.watching.chunk_size = PAGE  # else the first list of a kind is one answer
    settings.queueing.idle_timeout = LISTED_IDLE_SECONDS
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.persistence.finalizer = f"{API_GROUP}/kopf"


def make_registry(
    receive: Callable[[str, str | None, dict[str, Any]], None], *, everywhere: bool = True
) -> kopf.OperatorRegistry:
    """Handlers that pass every event to `receive`: plural of the kind, type of the event, object.

    `everywhere`: all namespaces are watched.
    """
    registry = kopf.OperatorRegistry()
    tuned = kopf.OperatorSettings()  # kopf's own from the start on

    def watch(plural: str) -> Any:
        async def on_event(event: Any, **_: Any) -> None:
            # kopf reads it when this object's task waits for its next event, after this handler.
            listed = event["type"] is None
            tuned.queueing.idle_timeout = LISTED_IDLE_SECONDS if listed else CHANGED_IDLE_SECONDS
            receive(plural, event["type"], dict(event["object"]))

        return on_event

    for plural in (SESSION_PLURAL, PARTITION_PLURAL, TASK_PLURAL):
        kopf.on.event(API_GROUP, API_VERSION, plural, registry=registry, id=plural)(watch(plural))
    kopf.on.event("", "v1", "pods", labels={PARTITION_LABEL: kopf.PRESENT}, registry=registry, id="pods")(
        watch("pods")
    )

    async def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        nonlocal tuned
        tuned = settings
        tune(settings, everywhere=everywhere)

    kopf.on.login(registry=registry)(login)
    kopf.on.startup(registry=registry)(startup)
    return registry
