"""TLS on a whole installation: switched on while workers run, a certificate renewed, switched off."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from release import (
    NAMESPACE,
    PATIENCE,
    RELEASE,
    apply,
    attempt,
    finished,
    fresh_namespace,
    helm,
    kill_operator,
    kubectl,
    lab_partition,
    objects,
    session,
    task,
    until,
    upgrade,
)

from armonik_sdk.client import Client

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(1500)]

S3 = f"{RELEASE}-s3.{NAMESPACE}.svc"


@pytest.fixture(scope="module")
def worker() -> Iterator[str]:
    """A namespace with a worker that was there before TLS, and TLS switched on."""
    with fresh_namespace("tls") as namespace:
        apply(
            lab_partition(namespace, "lab"),
            session(namespace, "work", "lab"),
            task(namespace, "before", "work", payload={"inline": "x"}),
        )
        finished(namespace, "before")
        upgrade("--set", "tls.enabled=true")
        try:
            yield namespace
        finally:
            upgrade("--set", "tls.enabled=false")


def test_workers_are_replaced_and_work_over_tls(worker: str) -> None:
    apply(task(worker, "after", "work", payload={"inline": "y"}))
    (result,) = finished(worker, "after", timeout=600)["status"]["results"]
    assert result["inline"] == "y"
    (pod,) = [
        found
        for found in objects("pods", "--namespace", worker, "--selector", "armonik.io/partition=lab")
        if "deletionTimestamp" not in found["metadata"]
    ]
    (agent,) = pod["spec"]["containers"]
    assert {"name": "ARMONIK_TLS", "value": "nats,s3"} in agent["env"]


def test_the_sdk_connects_from_inside(worker: str) -> None:
    helm("test", RELEASE, "--timeout", "5m")


async def test_the_sdk_connects_by_forwarded_ports(worker: str) -> None:
    async with await Client.connect(worker) as client:
        made = await client.create_session(partitions=["lab"])
        try:
            assert await (await made.submit("z")).result(timeout=PATIENCE) == b"z"
            large = "z" * 100_000  # by way of the object store
            assert await (await made.submit(large)).result(timeout=PATIENCE) == large.encode()
        finally:
            await made.delete()


def test_who_speaks_no_tls_gets_nothing() -> None:
    script = (
        "import urllib.request\n"
        f"try:\n  print(urllib.request.urlopen('http://{S3}:8333/', timeout=10).status)\n"
        "except OSError as error:\n  print('refused', error)\n"
    )
    assert "refused" in _python(script)


def test_a_new_certificate_is_served_without_a_restart(worker: str) -> None:
    before, pods = _served(), _servers()
    kubectl("delete", "secret", "armonik-s3-tls", "--namespace", NAMESPACE)
    kill_operator()  # it makes one at its start, and else within ten minutes
    until("the object store serves the new certificate", lambda: _served() != before, timeout=300)
    assert _servers() == pods


def _served() -> str:
    return _python(f"import ssl\nprint(ssl.get_server_certificate(('{S3}', 8333), timeout=10))\n")


def _servers() -> dict[str, int]:
    """The servers' pods by UID, with how often their containers were restarted."""
    words = ("--namespace", NAMESPACE, "--selector", "app.kubernetes.io/component in (nats,s3)")
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in objects("pods", *words)
    }


def _python(script: str) -> str:
    operator = f"deploy/{RELEASE}-operator"
    done = attempt("kubectl", "exec", "--namespace", NAMESPACE, operator, "--", "python", "-c", script)
    assert done.returncode == 0, json.dumps(done.stderr)
    return done.stdout
