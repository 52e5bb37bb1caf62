"""What keeps us from using Docker is said in one line, with the remedy."""

from __future__ import annotations

import pytest
from hack.cluster import docker
from hack.cluster.settings import Cache
from hack.cluster.shell import ClusterError
from hack.images.engines import DockerEngine, choose_engine
from stubs import DOCKER_28, Machine

SERVER, CLIENT = DOCKER_28
REFUSED = (
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
)
STOPPED = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"


def test_a_machine_without_docker_is_asked_to_install_it(machine: Machine) -> None:
    assert docker.problem() == "Docker is not installed (https://docs.docker.com/engine/install)"


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        (REFUSED, "usermod -aG docker"),
        (STOPPED, "systemctl start docker"),
        ("error during connect: lookup tcp://build-host", "lookup tcp://build-host"),
    ],
)
def test_a_docker_that_does_not_answer_is_not_to_be_installed_again(
    machine: Machine, said: str, mend: str
) -> None:
    machine.has("docker", {SERVER: f"echo '{said}' >&2; exit 1"})
    problem = docker.problem()
    assert mend in problem
    assert "not installed" not in problem
    assert "\n" not in problem


def test_a_docker_that_answers_is_no_problem(machine: Machine) -> None:
    machine.has("docker", DOCKER_28)
    assert docker.problem() == ""


def test_docker_28_without_buildx_names_the_package_to_install(machine: Machine) -> None:
    machine.has("docker", DOCKER_28 | {"buildx": "echo 'docker: unknown command: docker buildx' >&2; exit 1"})
    with pytest.raises(ClusterError, match=r"install docker-buildx-plugin .* or docker-buildx"):
        docker.check_builder()
    with pytest.raises(ClusterError, match="install docker-buildx-plugin"):
        choose_engine("kind", Cache(machine.cache))


def test_docker_20_builds_without_buildx(machine: Machine) -> None:
    machine.has("docker", {SERVER: "echo 20.10.24", CLIENT: "echo 20.10.24", "buildx": "exit 1"})
    docker.check_builder()
    assert isinstance(choose_engine("kind", Cache(machine.cache)), DockerEngine)


def test_docker_28_with_buildx_builds(machine: Machine) -> None:
    machine.has("docker", DOCKER_28)
    docker.check_builder()


def test_a_kind_cluster_is_never_given_images_of_buildah(machine: Machine) -> None:
    """They would be built for minutes, and no node could take them."""
    machine.has("docker", {SERVER: f"echo '{STOPPED}' >&2; exit 1"})
    machine.has("buildah")
    with pytest.raises(ClusterError, match=r"images are built with Docker.*systemctl start docker"):
        choose_engine("kind", Cache(machine.cache))
    assert machine.calls("buildah") == []
