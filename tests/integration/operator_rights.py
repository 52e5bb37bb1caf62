"""The chart's own roles for operators of tests: a right that is missing fails here, not on a cluster."""

from typing import Any

import pytest
from apiserver import OPERATOR, ApiServer, as_list

from rendering import Helm, named

EXTERNAL = {
    "nats": {"external": {"url": "nats://nats", "existingSecret": "own-nats"}},
    "objectStore": {"external": {"endpoint": "s3:9000", "existingSecret": "own-s3"}},
}


def _rules(
    helm: Helm, kind: str, *namespaces: str, external: tuple[str, ...] = ("nats", "objectStore")
) -> list[dict[str, Any]]:
    """What the chart lets an operator do that has servers of somebody else, or some of them."""
    servers = {name: values for name, values in EXTERNAL.items() if name in external}
    rendered = helm.render(servers | {"watchNamespaces": list(namespaces)})
    rules: list[dict[str, Any]] = named(rendered, kind, "armonik-operator")["rules"]
    return rules


def _apply(apiserver: ApiServer, *objects: dict[str, Any]) -> None:
    done = apiserver.kubectl("apply", "-f", "-", stdin=as_list(*objects))
    assert done.returncode == 0, done.stderr


def _role(kind: str, name: str, rules: list[dict[str, Any]], **meta: str) -> list[dict[str, Any]]:
    api = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": f"{api}/v1", "kind": kind, "metadata": {"name": name, **meta}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": name, **meta},
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": [{"kind": "User", "apiGroup": api, "name": OPERATOR}],
        },
    ]


@pytest.fixture(scope="session")
def served_rights(apiserver: ApiServer, helm: Helm) -> None:
    """What the chart lets an operator do everywhere it serves, with a list of namespaces or without."""
    rules = _rules(helm, "ClusterRole") + _rules(helm, "ClusterRole", "some")
    _apply(apiserver, *_role("ClusterRole", "armonik-operator", rules))


@pytest.fixture(scope="session")
def own_rules(helm: Helm) -> list[dict[str, Any]]:
    """What it may do in its own namespace besides."""
    return _rules(helm, "Role")


@pytest.fixture
def operator_rights(
    apiserver: ApiServer, served_rights: None, own_rules: list[dict[str, Any]], namespace: str
) -> None:
    """The roles are there, bound to the user that operators of tests are."""
    _apply(apiserver, *_role("Role", "armonik-operator", own_rules, namespace=namespace))


@pytest.fixture
def nats_rights(apiserver: ApiServer, helm: Helm, namespace: str) -> None:
    """What an operator may do in its own namespace whose NATS is the chart's."""
    rules = _rules(helm, "Role", external=("objectStore",))
    _apply(apiserver, *_role("Role", "armonik-operator-nats", rules, namespace=namespace))
