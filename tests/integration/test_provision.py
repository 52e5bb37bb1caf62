"""The servers' Secrets on a real apiserver; the test plays the StatefulSets' pods."""

import asyncio
from typing import Any

import pytest

from armonik_operator.clients.kube import PODS, SECRETS, Kube
from armonik_operator.manifests.secrets import decode
from armonik_operator.provisioning.credentials import Provision
from armonik_operator.settings import Settings
from armonik_sdk.api.const import SERVED_ANNOTATION
from armonik_sdk.dataplane.credentials import Credentials

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(namespace: str) -> Settings:
    return Settings(
        namespace=namespace, nats_url="nats://nats:4222", s3_endpoint="s3:8333", agent_image="agent:1"
    )


async def prepared(kube: Kube, settings: Settings) -> Credentials:
    """The operator's credentials, once the Secrets are there."""
    provision = Provision(kube, settings)
    await provision.prepare()
    return await provision.credentials(settings)


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
    credentials = await prepared(kube, settings)
    made = await nats_secret(kube, settings)
    assert credentials.nats_password == decode(made)["operator-password"]
    running = {await start_server(kube, settings, component) for component in ("nats", "s3")}

    assert await prepared(kube, settings) == credentials
    assert decode(await nats_secret(kube, settings)) == decode(made)
    assert await servers(kube, settings) == running


async def test_new_permissions_reach_nats_and_leave_passwords_and_s3_alone(
    kube: Kube, settings: Settings
) -> None:
    credentials = await prepared(kube, settings)
    rendered = decode(await nats_secret(kube, settings))["auth.conf"]
    older = {"stringData": {"auth.conf": rendered.replace("armonik.event.>", "armonik.old.>")}}
    await kube.patch(SECRETS, settings.nats_secret, older, settings.namespace)
    await start_server(kube, settings, "nats")
    kept = await start_server(kube, settings, "s3")
    before = (await nats_secret(kube, settings))["metadata"]["annotations"]

    # The file was rendered by an older operator, which noted what it had served.
    noted = {"metadata": {"annotations": {SERVED_ANNOTATION: "0123456789abcdef"}}}
    await kube.patch(SECRETS, settings.nats_secret, noted, settings.namespace)
    assert await prepared(kube, settings) == credentials

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


async def test_a_secret_of_the_other_kind_is_not_touched_and_its_remedy_is_logged(
    kube: Kube, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Streams are not moved into accounts, so the operator waits instead of starting with empty ones."""
    await Provision(kube, settings).prepare()
    before = await nats_secret(kube, settings)
    changed = settings.model_copy(update={"nats_accounts": True})
    waiting = asyncio.create_task(Provision(kube, changed).prepare())
    async with asyncio.timeout(60):
        while "nats.accounts.enabled=false" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.05)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await nats_secret(kube, settings) == before
