"""A cluster of somebody else, named by KUBECONTEXT: reached with a kubeconfig of ours, and left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from apiserver import ApiServer
from hack.apiserver import CACHE

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.integration

Cluster = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cluster(apiserver: ApiServer, tmp_path: Path) -> Cluster:
    """`python3 -m hack.cluster …`, by a user whose own kubeconfig names that cluster, with Helm on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "helm").symlink_to(CACHE / "bin" / "helm")
    environment = os.environ | {
        "ARMONIK_CACHE": str(tmp_path / "cache"),
        "KUBECONFIG": str(apiserver.kubeconfig),
        "KUBECONTEXT": "test",
        "PATH": f"{programs}:{os.environ['PATH']}",
    }

    def call(action: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hack.cluster", action],
            cwd=REPOSITORY,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    return call


def test_it_is_reached_with_a_kubeconfig_of_ours_and_left_alone(
    cluster: Cluster, apiserver: ApiServer, tmp_path: Path
) -> None:
    before = apiserver.kubeconfig.read_bytes()
    for action in ("check-demo", "up"):
        done = cluster(action, ARMONIK_IMAGE_REGISTRY="registry.example:5000")
        assert done.returncode == 0, done.stderr
    ours = tmp_path / "cache/cluster/context-test.kubeconfig"
    assert apiserver.token in ours.read_text()
    assert ours.stat().st_mode & 0o077 == 0
    said = cluster("env").stdout
    assert f"export KUBECONFIG={ours}\n" in said
    assert "ARMONIK_LOCAL_CLUSTER" not in said
    assert cluster("driver").stdout == "context\n"
    down = cluster("down")
    assert down.returncode == 0
    assert "is not ours: left as it is" in down.stderr
    assert apiserver.request("GET", "/readyz")[0] == 200
    assert apiserver.kubeconfig.read_bytes() == before


def test_a_cluster_without_nodes_has_room_for_one_process(cluster: Cluster) -> None:
    assert cluster("up").returncode == 0
    assert cluster("processes").stdout == "1\n"


def test_a_context_that_does_not_exist_is_named(cluster: Cluster) -> None:
    done = cluster("up", KUBECONTEXT="elsewhere")
    assert done.returncode == 1
    assert "elsewhere" in done.stderr
    assert "Traceback" not in done.stderr
