"""What kopf is used for: watching. Only low-level handlers, which write nothing on objects."""

import logging
from typing import Any

import kopf

from armonik_operator.controller import Controller
from armonik_sdk.api.const import (
    API_GROUP,
    API_VERSION,
    PARTITION_LABEL,
    PARTITION_PLURAL,
    SESSION_PLURAL,
    TASK_PLURAL,
)


class Unkept(kopf.DiffBaseStorage):
    """Keeps no earlier states: nobody asks what changed, and else kopf copies every object at every event."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of an object is compared."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        """Nothing is remembered."""

    def store(self, **_: Any) -> None:
        """Nothing is written."""


def make_registry(controller: Controller) -> kopf.OperatorRegistry:
    """Handlers that hand every event to the controller."""
    registry = kopf.OperatorRegistry()

    def watch(plural: str) -> Any:
        async def on_event(event: Any, **_: Any) -> None:
            controller.on_event(plural, event["type"], dict(event["object"]))

        return on_event

    for plural in (SESSION_PLURAL, PARTITION_PLURAL, TASK_PLURAL):
        kopf.on.event(API_GROUP, API_VERSION, plural, registry=registry, id=plural)(watch(plural))
    kopf.on.event("", "v1", "pods", labels={PARTITION_LABEL: kopf.PRESENT}, registry=registry, id="pods")(
        watch("pods")
    )

    async def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.posting.level = logging.ERROR
        settings.networking.connect_timeout = 5.0
        settings.persistence.diffbase_storage = Unkept()
        settings.persistence.finalizer = f"{API_GROUP}/kopf"

    async def alive(**_: Any) -> str:
        return "ok"

    kopf.on.login(registry=registry)(login)
    kopf.on.startup(registry=registry)(startup)
    kopf.on.probe(registry=registry, id="alive")(alive)
    return registry
