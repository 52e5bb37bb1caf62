"""`armonikctl env` on a whole installation of processes: what is kept is what workers import from."""

import importlib
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apiserver import ApiServer
from ctl import Ctl
from ctl import grid_ctl as ctl
from function_grid import PARTITION, FunctionGrid, function_grid
from manifests import partition

import armonik_sdk as ak
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.api.names import environments
from fake_uv import Uv, uv

__all__ = ["ctl", "function_grid", "uv"]
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module that no worker has, and of which no two tests have the same."""
    path = tmp_path / "of_this_test.py"
    path.write_text(f"NAME = {secrets.token_hex(4)!r}\n")
    return path


def name_in(module: str) -> Callable[[], str]:
    """A function that is sent by value, and imports a module that the workers have."""
    return lambda: str(importlib.import_module(module).NAME)


def called(grid: FunctionGrid, ctl: Ctl, module: str, **given: Any) -> tuple[str, str, str | None]:
    """The session, which stays open, what its call read in the module, and the environment of its Task."""
    with ak.connect(grid.namespace, kubeconfig=str(grid.kubeconfig)) as client:
        session = client.session(partitions=[PARTITION], on_exit="keep", **given)
        value = session.submit(name_in(module)).result(120)
        (task,) = session.tasks()
    options = ctl.read("tasks", task.name)["spec"].get("options", {})
    return session.name, value, options.get("environment", {}).get("object")


def test_packages_are_for_what_the_workers_of_the_partition_run(
    apiserver: ApiServer, namespace: str, capsys: pytest.CaptureFixture[str], uv: Uv
) -> None:
    ctl = Ctl(apiserver, namespace, capsys)
    body = partition({"podMax": 1, "template": {"spec": {"worker": {"image": "worker:1"}}}}, "py")
    code, said = apiserver.request("POST", ctl.path("partitions"), body)
    assert code == 201, said
    ctl.status("partitions", "py", {"worker": {"python": "3.12", "platform": "x86_64-manylinux_2_36"}})
    made = ctl.ok("env", "build", "polars", "-p", "py", "-o", "json").json
    assert (made["python"], made["platform"]) == ("3.12", "x86_64-manylinux_2_36")
    assert not {"object", "created"} & made.keys(), "it was not uploaded"
    (given, _) = uv.asked[0]
    assert given[given.index("--python-version") + 1] == "3.12"
    assert given[given.index("--python-platform") + 1] == "x86_64-manylinux_2_36"
    other = Path(made["path"])
    other.unlink()
    assert ctl.ok("env", "build", "polars", "-p", "py").out == f"{made['metadata']['name']}\n"
    assert other.exists()
    ctl.status("partitions", "py", {"worker": {"python": "3.12", "platform": "riscv64-manylinux_2_36"}})
    refused = ctl("env", "build", "polars", "-p", "py")
    assert refused.code == 1
    assert "none can be installed from here for workers of platform riscv64" in refused.err


def test_what_is_built_ahead_of_time_is_used_and_stays_while_it_is_needed(
    ctl: Ctl, function_grid: FunctionGrid, module: Path
) -> None:
    made = ctl.ok("env", "build", "--code", str(module), "--push", "-o", "json").json
    name, kept = made["metadata"]["name"], f"{environments(ctl.namespace)}{made['metadata']['name']}"
    assert made["object"] == kept
    again = ctl.ok("env", "build", "--code", str(module), "--push")
    assert again.out == f"{name}\n"
    assert "it was there already" in again.err
    (listed,) = [one for one in ctl.ok("env", "list", "-o", "json").json["items"] if one["object"] == kept]
    assert (listed["metadata"]["name"], listed["size"]) == (name, made["size"])
    assert f"env/{name}\n" in ctl.ok("envs", "list", "-o", "name").out
    assert [name, str(made["size"])] in [row[:2] for row in ctl.ok("env", "list").rows]
    session, value, named = called(function_grid, ctl, "of_this_test", code=[module])
    assert value in module.read_text()
    assert named == kept, "it was not uploaded again"
    assert ctl.ok("env", "prune", "--older-than", "1d", "--yes").err.endswith("no environment to remove\n")
    stays = ctl.ok("env", "prune", "--yes")
    assert "stay: sessions that have not ended need them" in stays.err
    assert name not in stays.err
    ctl.ok("session", "cancel", session, "--wait", "--yes")
    asked = ctl("env", "prune")
    assert asked.code == 2
    assert "repeat it with --yes" in asked.err
    assert f"environment {name} was deleted" in ctl.ok("env", "prune", "--yes").err
    assert name not in ctl.ok("env", "list", "-o", "name").out
    assert f"No environments found in namespace {ctl.namespace}." in ctl.ok("env", "list").err


def test_a_session_names_an_environment_of_packages_by_what_build_says(
    ctl: Ctl, function_grid: FunctionGrid, uv: Uv
) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = ctl.ok("env", "build", "polars", "--python", python, "--push", "-o", "json").json
    ((given, _),) = uv.asked
    assert given[given.index("--python-version") + 1] == python
    named = Environment(object=made["object"], sha256=made["metadata"]["name"])
    session, value, used = called(function_grid, ctl, "of_a_package", defaults=TaskOptions(environment=named))
    assert value == "polars"
    assert used is None, "it is inherited"
    assert made["metadata"]["name"] not in ctl.ok("env", "prune", "--yes").err
    ctl.ok("session", "cancel", session, "--wait", "--yes")
    assert made["metadata"]["name"] in ctl.ok("env", "prune", "--yes").err


def test_what_a_session_names_as_its_default_stays(ctl: Ctl, module: Path) -> None:
    made = ctl.ok("env", "build", "--code", str(module), "--push", "-o", "json").json
    named = {"object": made["object"], "sha256": made["metadata"]["name"]}
    body = {
        "apiVersion": "armonik.io/v1alpha1",
        "kind": "Session",
        "metadata": {"name": f"names-{secrets.token_hex(3)}"},
        "spec": {"partitions": [PARTITION], "taskDefaults": {"environment": named}},
    }
    code, said = ctl.apiserver.request("POST", ctl.path("sessions"), body)
    assert code == 201, said
    assert made["metadata"]["name"] not in ctl.ok("env", "prune", "--yes").err
    assert made["object"] in ctl.ok("env", "list", "-o", "json").out
    ctl.ok("session", "cancel", body["metadata"]["name"], "--wait", "--yes")
    assert made["metadata"]["name"] in ctl.ok("env", "prune", "--yes").err
