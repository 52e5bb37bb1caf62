"""Good manifests are accepted as they are, with no default but the documented ones."""

from typing import Any

import pytest
from api_requests import Api
from apiserver import ApiServer, as_list
from good_manifests import GOOD
from manifests import partition, session, task, worker

from armonik_sdk.api.crd import crds
from armonik_sdk.api.kinds import Partition, Session, Task

pytestmark = pytest.mark.integration

KINDS = {"Session": Session, "Task": Task, "Partition": Partition}


@pytest.mark.parametrize("manifest", GOOD.values(), ids=GOOD)
def test_a_good_manifest_is_accepted_by_server_and_model_alike(api: Api, manifest: dict[str, Any]) -> None:
    model = KINDS[manifest["kind"]]
    assert model.from_manifest(manifest).to_object() == manifest

    stored = api.create(manifest)
    read = model.from_object(stored).to_object()
    assert read["spec"] == stored["spec"]


def test_the_apiserver_stores_no_default_but_the_documented_ones(api: Api) -> None:
    assert api.create(session({}))["spec"] == {
        "partitions": ["default"],
        "desiredState": "Running",
        "submission": {"client": "Open", "worker": "Open"},
    }
    assert api.create(task({"options": {}}))["spec"] == {
        "session": "demo",
        "options": {},
        "desiredState": "Active",
    }
    assert api.create(partition({}))["spec"] == {
        "podMax": 2,
        "podReserved": 0,
        "template": {"spec": worker()},
    }


def test_applying_the_definitions_again_changes_nothing(apiserver: ApiServer) -> None:
    def versions() -> list[str]:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return [item["metadata"]["resourceVersion"] for item in apiserver.request("GET", path)[1]["items"]]

    def apply() -> list[str]:
        force = ("--server-side", "--force-conflicts")
        applied = apiserver.kubectl("apply", *force, "-f", "-", stdin=as_list(*crds().values()))
        assert applied.returncode == 0, applied.stderr
        return versions()

    # The first time it may change who owns the fields: an operator of another test applies them itself.
    assert apply() == apply()
