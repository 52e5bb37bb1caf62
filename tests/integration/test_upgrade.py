"""`helm upgrade` does not change how namespaces use NATS: unfinished work would be lost."""

import base64
import subprocess
from pathlib import Path

import pytest
from apiserver import ApiServer
from hack.apiserver import CACHE

pytestmark = pytest.mark.integration
CHART = Path(__file__).parents[2] / "charts/armonik"
KUBE_VERSION = "1.34.4"
WITH_USERS, WITH_ACCOUNTS = "operator-password", "accounts-seed"
MEND = "delete statefulset/armonik-nats secret/armonik-nats pvc/data-armonik-nats-0"


def rendered(apiserver: ApiServer, namespace: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `helm upgrade` renders, with a look at the cluster."""
    command = (
        "template",
        "armonik",
        str(CHART),
        "--dry-run=server",
        "--namespace",
        namespace,
        "--kube-version",
        KUBE_VERSION,
        *words,
    )
    return subprocess.run(
        [str(CACHE / "bin" / "helm"), *command, "--kubeconfig", str(apiserver.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize(
    ("key", "enabled", "words"),
    [
        (WITH_USERS, True, "share the users of NATS"),
        (WITH_ACCOUNTS, False, "have accounts of their own on NATS"),
    ],
)
def test_an_upgrade_to_the_other_way_is_refused_with_both_remedies(
    apiserver: ApiServer, namespace: str, key: str, words: str, *, enabled: bool
) -> None:
    keep = f"nats.accounts.enabled={str(not enabled).lower()}"
    change = f"nats.accounts.enabled={str(enabled).lower()}"
    assert rendered(apiserver, namespace, "--set", change).returncode == 0, "nothing is installed yet"
    data = {key: base64.b64encode(b"x").decode()}
    secret = {"metadata": {"name": "armonik-nats"}, "data": data}
    code, body = apiserver.request("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)
    assert code == 201, body
    refused = rendered(apiserver, namespace, "--set", change)
    assert refused.returncode != 0
    assert f"the namespaces of this installation {words}" in refused.stderr
    assert f"keep it so with {keep}" in refused.stderr
    assert f"kubectl -n {namespace} {MEND}" in refused.stderr
    kept = rendered(apiserver, namespace, "--set", keep)
    assert kept.returncode == 0, kept.stderr
    assert "kind: StatefulSet" in kept.stdout


def test_a_nats_of_somebody_else_is_not_looked_at(apiserver: ApiServer, namespace: str) -> None:
    secret = {"metadata": {"name": "armonik-nats"}, "data": {WITH_USERS: "eA=="}}
    assert apiserver.request("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)[0] == 201
    own = (
        "nats.accounts.enabled=true,nats.external.url=nats://n:4222,nats.external.existingSecret=armonik-nats"
    )
    done = rendered(apiserver, namespace, "--set", own)
    assert done.returncode == 0, done.stderr
