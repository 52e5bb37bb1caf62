"""The kind cluster: made, started again, given images, and gone without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from hack.cluster import clean, kind
from hack.cluster.settings import Cache, Instance
from hack.cluster.shell import ClusterError
from stubs import DOCKER_28, Machine

NODE = "armonik-local-control-plane"
THERE = {"get clusters": "echo armonik-local", "get nodes": f"echo {NODE}", "get kubeconfig": "echo fresh"}
IMAGES = {
    "localhost/armonik-a:dev-1": "localhost/armonik-a:dev",
    "localhost/armonik-b:dev-2": "localhost/armonik-b:dev",
}
LIST = f"exec {NODE} ctr --namespace k8s.io images list --quiet"


@pytest.fixture
def instance(machine: Machine) -> Instance:
    machine.has("kubectl")
    machine.patch.setattr(kind, "kubectl", lambda: ["kubectl"])
    return Instance("local", Cache(machine.cache))


def test_a_cluster_is_created_with_a_kubeconfig_of_ours(machine: Machine, instance: Instance) -> None:
    machine.has("kind", {"get kubeconfig": "echo fresh"})
    kind.up(instance)
    (created,) = machine.calls("kind create cluster")
    assert f"--name armonik-local --config {Path(kind.__file__).parent / 'kind.yaml'}" in created
    assert f"--kubeconfig {kind.kubeconfig(instance)}" in created
    assert kind.kubeconfig(instance).read_text() == "fresh\n"
    assert kind.kubeconfig(instance).stat().st_mode & 0o077 == 0


def test_a_stopped_node_is_started_and_awaited(machine: Machine, instance: Instance) -> None:
    machine.has("kind", THERE)
    machine.has("docker", {"inspect": "echo false"})
    kind.up(instance)
    assert machine.calls("kind create") == []
    assert machine.calls("docker start") == [f"docker start {NODE}"]
    order = [call.split()[0] for call in machine.calls() if call.startswith(("docker start", "kubectl"))]
    assert order == ["docker", "kubectl"]
    assert "wait --for=condition=Ready nodes --all" in machine.calls("kubectl")[0]


def test_a_cluster_that_runs_is_left_as_it_is(machine: Machine, instance: Instance) -> None:
    machine.has("kind", THERE)
    machine.has("docker", {"inspect": "echo true"})
    kind.up(instance)
    assert machine.calls("kind create") + machine.calls("docker start") == []


def test_all_missing_images_are_loaded_in_one_call(machine: Machine, instance: Instance) -> None:
    machine.has("kind", THERE)
    machine.has("docker", {LIST: "echo localhost/armonik-other:dev-3"})
    assert kind.load(instance, IMAGES) == list(IMAGES)
    (loaded,) = machine.calls("kind load")
    assert loaded == f"kind load docker-image {' '.join(IMAGES)} --name armonik-local --nodes {NODE}"
    tag = f"docker exec {NODE} ctr --namespace k8s.io images tag --force"
    assert machine.calls(tag) == [f"{tag} {image} {alias}" for image, alias in IMAGES.items()]


def test_an_image_that_the_node_has_is_not_loaded_again(machine: Machine, instance: Instance) -> None:
    machine.has("kind", THERE)
    first, second = IMAGES
    machine.has("docker", {LIST: f"echo {first}"})
    assert kind.load(instance, IMAGES) == [second]
    assert [second in call and first not in call for call in machine.calls("kind load")] == [True]
    machine.has("docker", {LIST: f"echo {first} {second}"})
    assert kind.load(instance, IMAGES) == []
    assert len(machine.calls("kind load")) == 1


def test_nothing_is_left_of_a_cluster_that_was_deleted(machine: Machine, instance: Instance) -> None:
    """And the user's own kubeconfig is not touched: kind gets ours."""
    machine.has("kind", THERE)
    machine.has("docker", {"inspect": "echo true"})
    kind.up(instance)
    Path(f"{kind.kubeconfig(instance)}.cache").mkdir()
    kind.down(instance)
    (deleted,) = machine.calls("kind delete")
    assert deleted == f"kind delete cluster --name armonik-local --kubeconfig {kind.kubeconfig(instance)}"
    assert list(kind.kubeconfig(instance).parent.iterdir()) == []


def test_a_cleaned_cache_leaves_no_cluster_and_no_image(machine: Machine, instance: Instance) -> None:
    listing = "image ls --filter reference=localhost/armonik-*"
    machine.has("kind", THERE)
    machine.has("docker", DOCKER_28 | {"inspect": "echo true", listing: "echo localhost/armonik-a:dev"})
    kind.up(instance)
    kind.up(Instance("mine", instance.cache))
    clean.clean(instance.cache)
    names = [call.split()[4] for call in machine.calls("kind delete cluster --name")]
    assert names == ["armonik-local", "armonik-mine"]
    assert machine.calls("docker image rm") == ["docker image rm --force localhost/armonik-a:dev"]
    assert not instance.cache.root.exists()


def test_kind_is_built_into_the_cache_whatever_gobin_says(machine: Machine, instance: Instance) -> None:
    machine.patch.setenv("GOBIN", "/somewhere/else")
    stub = 'printf \'#!/bin/sh\\n\' > "$GOBIN/kind"; /bin/chmod +x "$GOBIN/kind"'
    machine.has("go", {"version": "echo go version go1.26.0", "install": f'mkdir -p "$GOBIN"; {stub}'})
    kind.down(instance)
    assert (machine.cache / "go/bin/kind").exists()
    assert len(machine.calls("go install sigs.k8s.io/kind@v")) == 1


def test_without_kind_and_go_the_error_names_both(machine: Machine, instance: Instance) -> None:
    with pytest.raises(ClusterError, match=r"Go is not installed.* to build kind, unless you install it"):
        kind.up(instance)
