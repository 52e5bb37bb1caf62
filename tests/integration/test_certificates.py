"""The operator's certificates on a real apiserver, with the rights that the chart gives it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apiserver import OPERATOR, ApiServer, as_list

from armonik_operator.clients.kube import SECRETS, Kube
from armonik_operator.manifests.certificates import CA_HEIR, CA_LIFE, LIFE
from armonik_operator.manifests.secrets import agent_objects, decode, opaque
from armonik_operator.provisioning import certificates as module
from armonik_operator.provisioning.certificates import Certificates
from armonik_operator.provisioning.credentials import Provision
from armonik_operator.settings import Settings
from armonik_sdk.api.const import CA_SECRET, TLS_SECRETS
from rendering import Helm, named

pytestmark = pytest.mark.integration

RBAC = "rbac.authorization.k8s.io"
KEYS = {"access-key": "a", "secret-key": "s"}
ISSUED = {"tls": {"enabled": True, "issuerRef": {"name": "company"}}}


@pytest.fixture
def settings(namespace: str) -> Settings:
    return Settings.from_environ(
        {
            "ARMONIK_NAMESPACE": namespace,
            "ARMONIK_NATS_URL": "tls://nats:4222",
            "ARMONIK_S3_ENDPOINT": "s3:8333",
            "ARMONIK_S3_SECURE": "true",
            "ARMONIK_AGENT_IMAGE": "agent:1",
            "ARMONIK_TLS_SERVERS": "nats,s3",
            "ARMONIK_TLS_NATS_NAMES": "nats,127.0.0.1",
            "ARMONIK_TLS_S3_NAMES": "s3,127.0.0.1",
        }
    )


@pytest.fixture
async def operator_kube(
    apiserver: ApiServer, namespace: str, helm: Helm, request: Any
) -> AsyncIterator[Kube]:
    """The apiserver as an operator sees it that has the chart's Role; the test may give other values."""
    values = getattr(request, "param", {"tls": {"enabled": True}})
    meta = {"name": "armonik-operator", "namespace": namespace}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "armonik-operator"}
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": meta,
        "rules": named(helm.render(values), "Role", "armonik-operator")["rules"],
    }
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": reference,
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": OPERATOR}],
    }
    done = apiserver.kubectl("apply", "-f", "-", stdin=as_list(role, binding))
    assert done.returncode == 0, done.stderr
    kube = await Kube.connect(str(apiserver.operator_kubeconfig))
    yield kube
    await kube.close()


async def values(kube: Kube, settings: Settings, name: str) -> dict[str, str]:
    return decode(await kube.get(SECRETS, name, settings.namespace))


async def test_the_ca_is_made_and_handed_out(operator_kube: Kube, settings: Settings) -> None:
    provision = Provision(operator_kube, settings)
    await provision.prepare()
    ca = (await values(operator_kube, settings, CA_SECRET))["ca.crt"].strip()
    assert (await provision.credentials(settings)).tls_ca == ca
    assert provision.root.tls_ca == ca
    _, secret = agent_objects(provision._settings, provision._nats, KEYS)[1]
    assert decode(secret)["tls-ca"] == ca
    assert "tls-key" not in decode(secret)


async def test_a_second_start_keeps_all_and_what_is_deleted_is_made_again(
    operator_kube: Kube, kube: Kube, settings: Settings
) -> None:
    certificates = Certificates(operator_kube, settings)
    ca = await certificates.prepare()
    before = {name: await values(kube, settings, name) for name in (CA_SECRET, *TLS_SECRETS.values())}
    assert await Certificates(operator_kube, settings).prepare() == ca
    assert {name: await values(kube, settings, name) for name in before} == before

    await kube.delete(SECRETS, TLS_SECRETS["nats"], settings.namespace)
    assert await certificates.renew() == ca
    renewed = await values(kube, settings, TLS_SECRETS["nats"])
    assert renewed["tls.crt"] != before[TLS_SECRETS["nats"]]["tls.crt"]


async def test_certificates_are_renewed_while_the_operator_runs(
    operator_kube: Kube, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [datetime.now(UTC)]
    certificates = Certificates(operator_kube, settings, lambda: now[0])
    await certificates.prepare()
    before = await values(operator_kube, settings, TLS_SECRETS["s3"])
    monkeypatch.setattr(module, "LOOK", 0.05)
    now[0] += LIFE - timedelta(days=1)
    changed: list[str] = []
    running = asyncio.create_task(certificates.run(changed.append))
    while (await values(operator_kube, settings, TLS_SECRETS["s3"]))["tls.crt"] == before["tls.crt"]:  # noqa: ASYNC110 - no event of the apiserver
        await asyncio.sleep(0.05)
    assert not changed, "the CA is the same"
    now[0] += CA_LIFE - CA_HEIR
    while not changed:  # noqa: ASYNC110 - no event of the apiserver
        await asyncio.sleep(0.05)
    assert changed[0].count("BEGIN CERTIFICATE") == 2
    running.cancel()


async def test_an_unusable_ca_is_named_and_left_alone(
    operator_kube: Kube, kube: Kube, settings: Settings
) -> None:
    await kube.apply(SECRETS, opaque(CA_SECRET, {"tls.crt": "x", "tls.key": "y"}), settings.namespace)
    with pytest.raises(ValueError, match=rf"secret {settings.namespace}/{CA_SECRET}: .*correct or delete it"):
        await Certificates(operator_kube, settings).renew()


@pytest.mark.parametrize("operator_kube", [ISSUED], indirect=True)
async def test_certificates_of_an_issuer_are_awaited_and_read(
    operator_kube: Kube, kube: Kube, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    issued = settings.model_copy(update={"tls_issued": True})
    waiting = asyncio.create_task(Certificates(operator_kube, issued).prepare())
    with caplog.at_level(logging.WARNING):
        while "does the issuer of tls.issuerRef work?" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.05)
    for name in TLS_SECRETS.values():
        made = opaque(name, {"tls.crt": "c", "tls.key": "k", "ca.crt": "the CA\n"})
        await kube.apply(SECRETS, made, settings.namespace)
    assert await waiting == "the CA"
