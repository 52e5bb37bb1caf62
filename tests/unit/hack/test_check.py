"""What is missing is named before anything is built; and builds that a machine without root can do."""

from __future__ import annotations

import re
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hack.cluster import __main__ as command
from hack.cluster import check as check_module
from hack.cluster import choose, room
from hack.cluster.check import check
from hack.cluster.settings import REPOSITORY, Cache
from hack.cluster.shell import ClusterError
from stubs import DOCKER_28, Machine

GO = {"version": "echo go version go1.26.0 linux/amd64"}


@pytest.fixture
def user(machine: Machine) -> Machine:
    """An ordinary user of Linux with Docker: not root, nothing can be installed."""
    for module in (choose, check_module):
        machine.patch.setattr(module, "can_run_locally", lambda: False)
    machine.has("docker", DOCKER_28)
    return machine


def _lacks(machine: Machine, *, tests: bool, driver: str = "kind") -> str:
    with pytest.raises(ClusterError) as raised:
        check(driver, Cache(machine.cache), tests=tests)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_everything_that_is_missing_is_named_at_once(user: Machine) -> None:
    said = _lacks(user, tests=True)
    for what in ("to build kind, unless", "to build Helm, unless", "kube-apiserver and etcd", "openssl"):
        assert what in said
    assert "control plane" not in said


def test_the_demo_needs_no_openssl_and_go_for_the_object_store_alone(user: Machine) -> None:
    user.has("kind")
    user.has("helm")
    said = _lacks(user, tests=False)
    assert "Go is not installed" in said
    assert "to build the object store versitygw" in said
    assert "openssl" not in said
    assert "kube-apiserver and etcd of the integration tests" in _lacks(user, tests=True)
    user.has("go", GO)
    check("kind", Cache(user.cache), tests=False)


def test_a_machine_that_has_all_is_not_bothered(user: Machine) -> None:
    for name in ("kind", "helm", "openssl"):
        user.has(name)
    user.has("go", GO)
    check("kind", Cache(user.cache), tests=True)


def test_an_old_go_is_named_with_its_version(user: Machine) -> None:
    for name in ("kind", "helm", "openssl"):
        user.has(name)
    user.has("go", {"version": "echo go version go1.19.8 linux/amd64"})
    assert "Go is too old (go version go1.19.8 linux/amd64): install 1.21 or newer" in _lacks(
        user, tests=True
    )


def test_a_cluster_of_somebody_else_needs_a_registry_and_what_builds_images(user: Machine) -> None:
    user.has("helm")
    user.has("go", GO)
    assert "ARMONIK_IMAGE_REGISTRY is not set: name a registry" in _lacks(user, tests=False, driver="context")
    user.patch.setenv("ARMONIK_IMAGE_REGISTRY", "registry.example/team")
    check("context", Cache(user.cache), tests=False)
    user.has("docker", {"version": "echo 'Cannot connect to the Docker daemon' >&2; exit 1"})
    assert "sudo systemctl start docker" in _lacks(user, tests=False, driver="context")


def test_as_root_on_debian_buildah_replaces_docker(machine: Machine) -> None:
    machine.has("helm")
    machine.has("go", GO)
    machine.patch.setenv("ARMONIK_IMAGE_REGISTRY", "registry.example/team")
    machine.patch.setattr(check_module, "can_run_locally", lambda: True)
    check("context", Cache(machine.cache), tests=False)


def test_a_python_without_its_venv_module_is_named_with_the_rest(user: Machine, tmp_path: Path) -> None:
    """As Debian and Ubuntu ship it: found only after minutes otherwise, or on its own."""
    user.has("kind")
    user.patch.setattr(check_module, "REPOSITORY", tmp_path)
    user.patch.setattr("importlib.util.find_spec", lambda name: None)
    said = _lacks(user, tests=False)
    assert "to build Helm, unless" in said
    assert "Python's venv module is missing: install python3-venv, or uv" in said
    user.has("helm")
    user.has("go", GO)
    user.has("uv")
    check("kind", Cache(user.cache), tests=False)


def test_with_kind_the_tests_apiserver_is_built_and_needs_no_root(user: Machine) -> None:
    build = (
        'out=; for word; do [ "$out" = next ] && out=$word; [ "$word" = -o ] && out=next; done; touch "$out"'
    )
    user.has("go", GO | {"build": build})
    command._act("build")
    built = {path.name for path in (user.cache / "bin").iterdir()}
    assert {"etcd", "kube-apiserver", "localkube", "versitygw", "minio"} <= built
    assert "coredns" not in built
    assert len(user.calls("go build")) == 3
    command._act("build")
    assert len(user.calls("go build")) == 3


def test_without_go_the_build_says_what_it_is_for(user: Machine) -> None:
    with pytest.raises(
        ClusterError, match=r"Go is not installed.*kube-apiserver and etcd of the integration"
    ):
        command._act("build")


def test_missing_helm_and_go_are_named_before_a_cluster_is_made(user: Machine) -> None:
    user.has("kind")
    with pytest.raises(ClusterError, match="to build Helm, unless you install it"):
        command._act("up")
    assert user.calls("kind") == []


@pytest.mark.parametrize(("target", "first"), [("demo", "check-demo"), ("test", "check-test")])
def test_the_two_commands_of_the_readme_look_first(target: str, first: str) -> None:
    text = (REPOSITORY / "Makefile").read_text()
    prerequisites = re.search(rf"^{target}: (.*) ##", text, re.MULTILINE)
    assert prerequisites
    assert prerequisites[1].split()[0] == first
    assert f"make {target}" in (REPOSITORY / "README.md").read_text()


def test_a_make_without_one_shell_for_a_recipe_is_refused() -> None:
    """GNU make 3.81, which macOS has, would run each line of a recipe by itself."""
    words = ("make", "--no-print-directory", ".FEATURES=order-only", "help")
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is too old, 3.82 or newer is needed (macOS: `brew install make`" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_a_python_that_is_too_old_or_missing_is_named(python: str) -> None:
    words = ("make", "--no-print-directory", "check-demo", f"PYTHON={python}")
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(f"Python 3.11 or newer is needed as {python} (")


def _pod(*cpus: str, phase: str = "Running", beside: str = "") -> dict[str, Any]:
    containers = [{"resources": {"requests": {"cpu": cpu}}} for cpu in cpus]
    first: list[dict[str, Any]] = [{"resources": {"requests": {"cpu": "8"}}}]
    if beside:
        first.append({"restartPolicy": "Always", "resources": {"requests": {"cpu": beside}}})
    return {"status": {"phase": phase}, "spec": {"containers": [*containers, {}], "initContainers": first}}


def test_cpus_that_no_pod_requests() -> None:
    nodes = [{"status": {"allocatable": {"cpu": cpu}}} for cpu in ("2", "1500m")]
    pods = [_pod("950m"), _pod("20m", "10m", beside="100m"), _pod("1", phase="Succeeded")]
    assert room.free(nodes, pods) == Decimal("2.42")


@pytest.mark.parametrize(("cpus", "processes"), [("-1", 1), ("0.1", 1), ("0.24", 2), ("0.95", 3), ("64", 3)])
def test_processes_follow_the_room_that_is_left(cpus: str, processes: int) -> None:
    assert room.fitting(Decimal(cpus), 3) == processes


def test_a_process_has_room_for_the_pods_of_a_file() -> None:
    """The numbers that it is made of are in two other files."""
    release = (REPOSITORY / "tests/e2e/release.py").read_text()
    values = (REPOSITORY / "charts/armonik/values-local.yaml").read_text()
    worker, agent = (
        re.search(r'WORKER_CPU = "(\d+)m"', release),
        re.search(r"agent:(?s:.*?)cpu: (\d+)m", values),
    )
    assert worker
    assert agent
    assert Decimal(4 * (int(worker[1]) + int(agent[1]))) / 1000 == room.CPU_OF_A_PROCESS
