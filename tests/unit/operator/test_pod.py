"""The worker pod that is built from a Partition."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from armonik_operator.resources.pod import PodSettings, build_pod, template_hash
from armonik_sdk.api.kinds import Partition

SETTINGS = PodSettings("agent:1")


def make_partition(*, template: dict[str, Any] | None = None, **spec: Any) -> Partition:
    worker = {"image": "w:1", "securityContext": {"runAsUser": 7}}
    pod = {"spec": {"worker": worker, **(template or {})}}
    return Partition.from_object(
        {
            "metadata": {"name": "p", "uid": "pu", "generation": 1},
            "spec": {"podMax": 2, "template": pod, **spec},
        }
    )


def containers(partition: Partition) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = build_pod(partition, SETTINGS)["spec"]
    return spec["initContainers"][0], spec["containers"][0]


def test_the_pod_keeps_what_is_ours() -> None:
    worker, agent = containers(make_partition())
    assert worker["restartPolicy"] == "Always"
    assert worker["securityContext"] == {
        "runAsUser": 7,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["name"] for mount in worker["volumeMounts"]] == ["cache", "tmp"]
    assert "credentials" in [mount["name"] for mount in agent["volumeMounts"]]


def test_the_hash_names_the_template_alone() -> None:
    assert template_hash(make_partition(), SETTINGS) == template_hash(make_partition(podMax=9), SETTINGS)
    assert template_hash(make_partition(), SETTINGS) != template_hash(
        make_partition(), PodSettings("agent:2")
    )


@pytest.mark.parametrize(("grace", "drain"), [(None, "50"), (120, "110"), (3, "1")])
def test_the_agent_drains_within_the_grace(grace: int | None, drain: str) -> None:
    partition = make_partition(template={"terminationGracePeriodSeconds": grace} if grace else {})
    env = {entry["name"]: entry.get("value") for entry in containers(partition)[1]["env"]}
    assert env["ARMONIK_DRAIN_SECONDS"] == drain
    assert build_pod(partition, SETTINGS)["spec"]["terminationGracePeriodSeconds"] == (grace or 60)


def test_the_worker_is_stopped_once_the_agent_is_gone(tmp_path: Path) -> None:
    """The hook, run by a real shell: without the agent's socket it sends SIGINT at once."""
    shell, flag, script = containers(make_partition())[0]["lifecycle"]["preStop"]["exec"]["command"]
    assert (shell, flag) == ("/bin/sh", "-c")
    recorded = tmp_path / "signal"
    stub = f'kill() {{ echo "$@" > {recorded}; }}; '
    subprocess.run([shell, flag, stub + script], check=True, timeout=30)
    assert recorded.read_text() == "-s INT 1\n"
