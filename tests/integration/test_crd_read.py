"""What the apiserver stores, the models read: schema, CEL and the apiserver's own checks together."""

import json
import uuid
from typing import Any

import pytest
from api_requests import Api
from hypothesis import HealthCheck, Phase, assume, given, settings

from armonik_sdk.api.kinds import Partition, Session, Task
from structural import objects_of

pytestmark = pytest.mark.integration

KINDS = {"sessions": Session, "tasks": Task, "partitions": Partition}
FEWEST = 10
"""Objects of 100 that the apiserver must have stored for the sample to say anything."""

LARGEST = 1 << 20
"""Bytes of an object that the sample sends: etcd refuses 1.5 MiB, and the apiserver does not read 3 MiB."""


@pytest.mark.parametrize("plural", KINDS)
def test_what_the_apiserver_stores_is_read(api: Api, plural: str) -> None:
    stored, statuses = 0, 0

    @given(obj=objects_of(plural))
    @settings(
        max_examples=100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],  # to explain takes minutes of requests to the apiserver
    )
    def check(obj: dict[str, Any]) -> None:
        nonlocal stored, statuses
        assume(len(json.dumps(obj)) <= LARGEST)
        meta = {part: obj["metadata"].get(part, {}) for part in ("labels", "annotations")}
        name = f"r-{uuid.uuid4().hex[:12]}"
        manifest = obj | {"metadata": {"name": name, **meta}}
        code, answer = api.server.request("POST", api.path(obj["kind"]), manifest)
        if code != 201:
            assert code == 422, answer
            return
        stored += 1
        KINDS[plural].from_object(answer)
        if "status" not in obj:
            return
        code, answer = api.patch(obj["kind"], name, {"status": obj["status"]}, "status")
        if code == 200:
            statuses += 1
            read = KINDS[plural].from_object(answer)
            # Nothing of it was left out: a status is read in part only where the schema was another one.
            assert read.status is not None
            assert len(read.status.conditions) == len(answer["status"].get("conditions", ()))

    check()
    assert stored >= FEWEST
    assert statuses > 0


@pytest.mark.parametrize(
    ("inline", "says"),
    [
        ("é" * 20_000, "at most 32 KiB in UTF-8"),
        ("x" * 24_577, "Too long: may not be more than 24576"),
    ],
)
def test_an_item_too_long_is_refused_by_the_apiserver(api: Api, inline: str, says: str) -> None:
    spec = {"session": "s", "items": [{}, {"payload": {"inline": inline}}]}
    manifest = {"apiVersion": "armonik.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"}, "spec": spec}
    code, answer = api.server.request("POST", api.path("Task"), manifest)
    assert code == 422
    cause = answer["details"]["causes"][0]
    assert cause["field"] == "spec.items[1].payload.inline"
    assert says in cause["message"]
