"""The worker pod that is built from a Partition."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from armonik_operator.controllers.partition_pods import refusal
from armonik_operator.errors import InvalidSetting, KubeError
from armonik_operator.manifests.pod import PodSettings, build_pod, template_hash
from armonik_operator.settings import Settings
from armonik_sdk.api.kinds import Partition

SETTINGS = PodSettings("agent:1")
NEEDED = {
    "ARMONIK_NAMESPACE": "a",
    "ARMONIK_NATS_URL": "nats://n:4222",
    "ARMONIK_S3_ENDPOINT": "s:9000",
    "ARMONIK_AGENT_IMAGE": "agent:1",
}


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


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        ({}, {"requests": {"cpu": "100m", "memory": "128Mi"}}),
        (
            {"limits": {"memory": "100Mi"}},
            {
                "requests": {"cpu": "100m"},
                "limits": {"memory": "100Mi"},
            },
        ),
        (
            {"limits": {"memory": "1Gi", "cpu": 2}, "requests": {"memory": "64Mi"}},
            {"requests": {"memory": "64Mi"}, "limits": {"memory": "1Gi", "cpu": 2}},
        ),
        (
            {"requests": {"nvidia.com/gpu": 1}},
            {"requests": {"cpu": "100m", "memory": "128Mi", "nvidia.com/gpu": 1}},
        ),
    ],
)
def test_a_limit_alone_is_the_workers_request(wanted: dict[str, Any], made: dict[str, Any]) -> None:
    """As in core/v1: what has a limit and no request requests the limit."""
    template = {"worker": {"image": "w:1", "resources": wanted}}
    assert containers(make_partition(template=template))[0]["resources"] == made


@pytest.mark.parametrize(
    ("wanted", "made"),
    [
        ({}, {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}),
        (
            {"limits": {"cpu": "1"}},
            {"requests": {"memory": "96Mi"}, "limits": {"memory": "256Mi", "cpu": "1"}},
        ),
        ({"limits": {"memory": "200Mi"}}, {"requests": {"cpu": "50m"}, "limits": {"memory": "200Mi"}}),
    ],
)
def test_a_partition_may_say_what_its_agents_use(wanted: dict[str, Any], made: dict[str, Any]) -> None:
    template = {"agent": {"resources": wanted}}
    assert containers(make_partition(template=template))[1]["resources"] == made


def test_the_chart_says_what_agents_use() -> None:
    environ = {"ARMONIK_AGENT_RESOURCES": '{"limits": {"cpu": 0.5, "memory": "200Mi"}}'}
    given = Settings.from_environ(NEEDED | environ).agent_resources
    agent = build_pod(make_partition(), PodSettings("agent:1", agent_resources=given))["spec"]["containers"][
        0
    ]
    assert agent["resources"] == {"limits": {"cpu": "0.5", "memory": "200Mi"}}
    for wrong in ("{", "[]", '{"limits": {"cpu": "lots"}}', '{"limit": {}}'):
        with pytest.raises(InvalidSetting, match="ARMONIK_AGENT_RESOURCES"):
            Settings.from_environ(NEEDED | {"ARMONIK_AGENT_RESOURCES": wrong})


def test_the_chart_says_how_much_agents_keep_of_what_elements_print() -> None:
    given = Settings.from_environ(NEEDED | {"ARMONIK_AGENT_PRINTED_BYTES": "0"}).agent_printed_bytes
    agent = build_pod(make_partition(), PodSettings("agent:1", printed_bytes=given))["spec"]["containers"][0]
    assert {"name": "ARMONIK_PRINTED_BYTES", "value": "0"} in agent["env"]
    for wrong in ("-1", "1", "1023", "1048577", "lots"):
        with pytest.raises(InvalidSetting, match="ARMONIK_AGENT_PRINTED_BYTES"):
            Settings.from_environ(NEEDED | {"ARMONIK_AGENT_PRINTED_BYTES": wrong})


@pytest.mark.parametrize(
    "message",
    [
        'pods "p-" is forbidden: failed quota: q: must specify limits.cpu for: agent',
        'pods "p-" is forbidden: maximum memory usage per Container is 200Mi, but limit is 256Mi',
    ],
)
def test_a_quota_that_refuses_the_agent_comes_with_the_way_out(message: str) -> None:
    found = refusal(KubeError(403, {"message": message}, "POST pods"))
    assert found.reason == "TemplateInvalid"
    assert found.message.startswith(message)
    assert "spec.template.spec.agent.resources" in found.message
    assert "agent.resources" in found.message


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
