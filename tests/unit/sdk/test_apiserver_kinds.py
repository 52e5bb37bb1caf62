"""Paths of kinds in the apiserver, for operator and client alike."""

import pytest

from armonik_sdk.apiserver import LEASES, NAMESPACES, PODS, SESSIONS, Kind


def test_paths_follow_group_version_and_namespace() -> None:
    assert SESSIONS.one("ns", "one") == "/apis/armonik.io/v1alpha1/namespaces/ns/sessions/one"
    assert LEASES.path("ns") == "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
    assert PODS.path() == "/api/v1/pods"
    assert NAMESPACES.one("ignored", "ns") == "/api/v1/namespaces/ns"


def test_a_name_cannot_lead_to_another_path() -> None:
    assert PODS.one("a/b", "../x") == "/api/v1/namespaces/a%2Fb/pods/..%2Fx"


@pytest.mark.parametrize("kind", [SESSIONS, PODS])
def test_an_empty_name_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=f"one of {kind.plural} in ns needs its name"):
        kind.one("ns", "")
