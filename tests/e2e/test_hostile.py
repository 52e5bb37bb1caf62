"""A worker that looks for what is not its own: it returns all it could read, and no secret is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from node import local_only
from observe import bucket_of
from release import NAMESPACE, RELEASE
from space import SESSION, Space, space

from armonik_sdk.api.names import task_payload_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


SECRET_CHARACTERS = 16
"""Lines of a credentials file that are shorter are no secret."""


@pytest.fixture(scope="module")
def here() -> Iterator[Space]:
    with space("hostile") as made:
        yield made


@pytest.fixture(scope="module")
def loot(here: Space) -> dict[str, object]:
    """What the worker brings home; larger than a status shows, so from the object store."""
    secret = "somebody else's" * 100
    other = here.submit("other", payload={"inline": secret})
    here.end("other")
    session_uid = here.get(SESSION, "session.armonik.io")["metadata"]["uid"]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    key = task_payload_key(here.namespace, session_uid, other, digest)
    words = {
        "nats": f"{RELEASE}-nats.{NAMESPACE}.svc:4222",
        "s3": f"{RELEASE}-s3.{NAMESPACE}.svc:8333",
        "bucket": bucket_of(here.namespace),
        "object": f"{bucket_of(here.namespace)}/{key}",
        "namespace": here.namespace,
    }
    uid = here.submit("hostile", "hostile", **words)
    here.end("hostile")
    (run,) = here.observe.results(uid).values()
    found: dict[str, object] = json.loads(here.observe.read(run.ref(run.outcomes[0].outputs["result"])))
    return found


def test_no_secret_is_in_anything_that_the_worker_can_read(here: Space, loot: dict[str, object]) -> None:
    """Environment, files, other processes' memory and descriptors, answers of servers."""
    everything = json.dumps(loot)
    assert "PATH" in everything, "the worker brought nothing at all"
    for name in ("armonik-agent", "armonik-client"):
        for key, value in here.get(name, "secret")["data"].items():
            if key.endswith(("password", "creds", "access-key", "secret-key")):
                for line in base64.b64decode(value).decode().splitlines():
                    assert len(line) < SECRET_CHARACTERS or line not in everything, f"{name}/{key}"


def test_it_sees_no_process_but_its_own(loot: dict[str, object]) -> None:
    assert loot["foreign processes"] == []


def test_it_has_no_token_and_the_apiserver_shows_it_nothing(loot: dict[str, object]) -> None:
    assert loot["token"] == []
    assert loot["apiserver"] in (401, 403)


def test_servers_refuse_it(loot: dict[str, object]) -> None:
    assert "Authorization" in str(loot["nats"])
    assert (loot["s3 list"], loot["s3 get"]) == (403, 403)


@local_only
def test_it_does_not_reach_a_cloud_s_metadata(loot: dict[str, object]) -> None:
    """Elsewhere this needs a network that enforces the chart's NetworkPolicy."""
    assert loot["metadata address"] == "unreachable"


def test_the_agent_refuses_what_is_no_result_of_the_task(loot: dict[str, object]) -> None:
    assert loot["wrong token"] == "INVALID_ARGUMENT"
    assert loot["path outside"] == "NOT_FOUND"
    assert loot["link as result"] == "NOT_FOUND"


def test_a_result_that_becomes_a_link_after_it_was_reported_is_not_followed(here: Space) -> None:
    uid = here.submit("swap", "swap", target="/run/armonik/s3-secret-key", options={"maxRetries": 0})
    task, _ = here.end("swap")
    assert task["status"]["phase"] == "Error"
    assert all(not outcome.outputs for run in here.observe.results(uid).values() for outcome in run.outcomes)
