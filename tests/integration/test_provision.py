"""The servers' Secrets on a real apiserver; the test plays the StatefulSets' pods."""

from typing import Any

import pytest

from armonik_operator.adapters.kube import PODS, SECRETS, Kube
from armonik_operator.provision import Provision
from armonik_operator.resources.secrets import decode
from armonik_operator.settings import Settings
from armonik_sdk.api.const import SERVED_ANNOTATION

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(namespace: str) -> Settings:
    return Settings(
        namespace=namespace, nats_url="nats://nats:4222", s3_endpoint="s3:8333", agent_image="agent:1"
    )


async def start_server(kube: Kube, settings: Settings, component: str) -> str:
    """A pod of one of the servers that runs already; its name."""
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": settings.release}
    name = f"armonik-{component}-0"
    spec = {"containers": [{"name": "server", "image": "server:1"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
    await kube.create(PODS, pod, settings.namespace)
    await kube.patch(PODS, name, {"status": {"phase": "Running"}}, settings.namespace, status=True)
    return name


async def servers(kube: Kube, settings: Settings) -> set[str]:
    return {pod["metadata"]["name"] for pod in await kube.list(PODS, settings.namespace)}


async def nats_secret(kube: Kube, settings: Settings) -> dict[str, Any]:
    return await kube.get(SECRETS, settings.nats_secret, settings.namespace)


async def test_what_is_absent_is_made_and_a_second_start_changes_nothing(
    kube: Kube, settings: Settings
) -> None:
    credentials = await Provision(kube, settings).prepare()
    made = await nats_secret(kube, settings)
    assert credentials.nats_password == decode(made)["operator-password"]
    running = {await start_server(kube, settings, component) for component in ("nats", "s3")}

    assert await Provision(kube, settings).prepare() == credentials
    assert decode(await nats_secret(kube, settings)) == decode(made)
    assert await servers(kube, settings) == running


async def test_new_permissions_reach_nats_and_leave_passwords_and_s3_alone(
    kube: Kube, settings: Settings
) -> None:
    credentials = await Provision(kube, settings).prepare()
    rendered = decode(await nats_secret(kube, settings))["auth.conf"]
    older = {"stringData": {"auth.conf": rendered.replace("armonik.event.>", "armonik.old.>")}}
    await kube.patch(SECRETS, settings.nats_secret, older, settings.namespace)
    await start_server(kube, settings, "nats")
    kept = await start_server(kube, settings, "s3")
    before = (await nats_secret(kube, settings))["metadata"]["annotations"]

    # The file was rendered by an older operator, which noted what it had served.
    noted = {"metadata": {"annotations": {SERVED_ANNOTATION: "0123456789abcdef"}}}
    await kube.patch(SECRETS, settings.nats_secret, noted, settings.namespace)
    assert await Provision(kube, settings).prepare() == credentials

    after = await nats_secret(kube, settings)
    assert decode(after)["auth.conf"] == rendered
    assert after["metadata"]["annotations"] == before
    assert await servers(kube, settings) == {kept}


async def test_an_end_between_the_secret_and_the_restart_is_made_up_for(
    kube: Kube, settings: Settings
) -> None:
    await Provision(kube, settings).prepare()
    noted = {"metadata": {"annotations": {SERVED_ANNOTATION: None}}}
    await kube.patch(SECRETS, settings.nats_secret, noted, settings.namespace)
    await start_server(kube, settings, "nats")
    await Provision(kube, settings).prepare()
    assert await servers(kube, settings) == set()
