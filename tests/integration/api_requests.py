"""Requests about the three kinds in one namespace, as tests make them."""

from typing import Any

import pytest
from apiserver import ApiServer

GROUP = "/apis/armonik.io/v1alpha1"
MERGE = "application/merge-patch+json"


class Api:
    """Requests about the three kinds in one namespace."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace

    def path(self, kind: str, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.namespace}/{kind.lower()}s" + (f"/{name}" if name else "")

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        path = f"{self.path(manifest['kind'])}?fieldValidation=Strict"
        code, body = self.server.request("POST", path, manifest)
        assert code == 201, body.get("message", body)
        return body

    def patch(self, kind: str, name: str, patch: dict[str, Any], subresource: str = "") -> tuple[int, Any]:
        suffix = f"/{subresource}" if subresource else ""
        return self.server.request("PATCH", self.path(kind, name) + suffix, patch, content_type=MERGE)

    def accepted(self, kind: str, name: str, patch: dict[str, Any], subresource: str = "") -> dict[str, Any]:
        code, body = self.patch(kind, name, patch, subresource)
        assert code == 200, body
        return body

    def refused(
        self, kind: str, name: str, patch: dict[str, Any], subresource: str = ""
    ) -> list[tuple[str, str]]:
        code, body = self.patch(kind, name, patch, subresource)
        assert code == 422, body
        return [(cause["field"], cause["message"]) for cause in body["details"]["causes"]]


@pytest.fixture
def api(apiserver: ApiServer, namespace: str) -> Api:
    """The three kinds in a namespace of the test's own."""
    return Api(apiserver, namespace)
