"""The operator's apiserver adapter, CRD upkeep and Lease against a real kube-apiserver."""

from pathlib import Path
from typing import Any

import pytest

from armonik_operator.clients import leader_election
from armonik_operator.clients.kube import CONFIG_MAPS, LEASES, SESSIONS, Kube
from armonik_operator.errors import AlreadyExists, Conflicted, LeaseLost, NotFound, Refused
from armonik_operator.provisioning.crds import apply_crds

pytestmark = pytest.mark.integration
CRDS_FOLDER = Path(__file__).parents[2] / "crds"


def _config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_objects_live_through_create_get_patch_list_delete(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, _config_map("one", a="1") | {}, namespace)
    with pytest.raises(AlreadyExists):
        await kube.create(CONFIG_MAPS, _config_map("one"), namespace)
    await kube.patch(CONFIG_MAPS, "one", {"data": {"b": "2"}}, namespace)
    assert (await kube.get(CONFIG_MAPS, "one", namespace))["data"] == {"a": "1", "b": "2"}
    await kube.delete(CONFIG_MAPS, "one", namespace)
    await kube.delete(CONFIG_MAPS, "one", namespace)
    with pytest.raises(NotFound, match="one"):
        await kube.get(CONFIG_MAPS, "one", namespace)


async def test_apply_creates_and_repairs(kube: Kube, namespace: str) -> None:
    await kube.apply(CONFIG_MAPS, _config_map("applied", a="1"), namespace)
    await kube.patch(CONFIG_MAPS, "applied", {"data": {"a": "wrong"}}, namespace)
    await kube.apply(CONFIG_MAPS, _config_map("applied", a="1"), namespace)
    assert (await kube.get(CONFIG_MAPS, "applied", namespace))["data"] == {"a": "1"}


async def test_only_the_very_object_is_deleted(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, _config_map("kept"), namespace)
    with pytest.raises(Conflicted):
        await kube.delete(CONFIG_MAPS, "kept", namespace, uid="another")
    assert await kube.list(CONFIG_MAPS, namespace, fields="metadata.name=kept")


async def test_a_dry_run_is_checked_and_leaves_nothing(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, _config_map("dry"), namespace, dry_run=True)
    with pytest.raises(Refused, match=r"metadata\.name"):
        await kube.create(CONFIG_MAPS, _config_map("Not_A_Name"), namespace, dry_run=True)
    assert not await kube.list(CONFIG_MAPS, namespace, fields="metadata.name=dry")


async def test_delete_collection_wants_a_selector(kube: Kube, namespace: str) -> None:
    with pytest.raises(ValueError, match="selector"):
        await kube.delete_collection(CONFIG_MAPS, namespace)


async def test_crds_are_applied_and_may_be_applied_again(kube: Kube, namespace: str) -> None:
    names = await apply_crds(kube, CRDS_FOLDER)
    assert names == await apply_crds(kube, CRDS_FOLDER)
    assert sorted(name.split(".")[0] for name in names) == ["partitions", "sessions", "tasks"]
    assert await kube.list(SESSIONS, namespace) == []


async def test_only_one_holder_has_the_lease(kube: Kube, namespace: str) -> None:
    await leader_election.acquire(kube, namespace, "operator", "first")
    await leader_election.acquire(kube, namespace, "operator", "first")
    with pytest.raises(LeaseLost, match="first holds"):
        await leader_election._take(kube, namespace, "operator", "second")
    expired = {"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}}
    await kube.patch(LEASES, "operator", expired, namespace)
    await leader_election.acquire(kube, namespace, "operator", "second")
    assert (await kube.get(LEASES, "operator", namespace))["spec"]["holderIdentity"] == "second"


async def test_lists_are_paged_and_metadata_comes_alone(
    kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("armonik_operator.clients.kube.PAGE", 2)
    names = [f"c-{number}" for number in range(5)]
    for name in names:
        await kube.create(CONFIG_MAPS, _config_map(name, a="1"), namespace)
    mine = {"fields": "metadata.name!=kube-root-ca.crt"}
    assert [obj["metadata"]["name"] for obj in await kube.list(CONFIG_MAPS, namespace, **mine)] == names
    pages: list[list[dict[str, Any]]] = []
    original = kube._request

    async def noted(*arguments: Any, **named: Any) -> Any:
        answer = await original(*arguments, **named)
        pages.append(answer["items"])
        return answer

    monkeypatch.setattr(kube, "_request", noted)
    assert [meta["name"] async for meta in kube.metadata(CONFIG_MAPS, namespace, **mine)] == names
    assert [len(page) for page in pages] == [2, 2, 1]
    assert all("data" not in obj for page in pages for obj in page)


async def test_a_request_about_one_object_needs_a_name(kube: Kube, namespace: str) -> None:
    for request in (
        kube.delete(CONFIG_MAPS, "", namespace),
        kube.get(CONFIG_MAPS, "", namespace),
        kube.patch(CONFIG_MAPS, "", {}, namespace),
    ):
        with pytest.raises(ValueError, match="needs its name"):
            await request
