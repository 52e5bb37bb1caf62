"""The wheels of a release, installed where nothing of this tree can be found."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hack.cluster.settings import REPOSITORY, Cache
from hack.cluster.shell import run
from hack.dist.__main__ import find_uv, make
from hack.dist.version import release_version

pytestmark = pytest.mark.integration

IMPORT_ALL = """
import importlib, importlib.metadata, pkgutil
importlib.import_module("armonikctl")
for name in ("armonik_sdk", "armonik_operator", "armonik_agent"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    distribution = importlib.metadata.distribution(name.replace("armonik_", "armonik-k8s-"))
    print(distribution.version, package.__file__)
"""


def test_the_wheels_install_and_import_without_the_tree(tmp_path: Path) -> None:
    cache, version = Cache.from_environ(), release_version(REPOSITORY)
    uv, dist = find_uv(cache), tmp_path / "dist"
    make(["wheels"], dist, cache)
    sdk, operator, agent = (
        dist / f"armonik_k8s_{name}-{version}-py3-none-any.whl" for name in ("sdk", "operator", "agent")
    )
    python = tmp_path / "venv/bin/python"
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    pinned = ["--constraints", REPOSITORY / "requirements.lock"]
    # `armonik_sdk.testing.plugin` is loaded by pytest alone, so no extra of ours brings pytest.
    wheels = ["pytest", f"armonik-k8s-sdk[cli,client,joblib,top,worker] @ {sdk.as_uri()}", operator, agent]
    run(uv, "pip", "install", "--quiet", "--python", python, *pinned, *wheels, timeout=600)
    # -I: neither the current folder nor PYTHONPATH is searched.
    done = subprocess.run([python, "-I", "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [line.split() for line in done.stdout.splitlines()]
    assert [one[0] for one in found] == [version] * 3
    assert all(Path(one[1]).is_relative_to(tmp_path) for one in found)
    for wheel in (sdk, operator, agent):
        names = zipfile.ZipFile(wheel).namelist()
        assert any(name.endswith("licenses/LICENSE") for name in names)
        assert any(name.endswith("/py.typed") for name in names)
    sums = (dist / "SHA256SUMS").read_text()
    assert all(wheel.name in sums for wheel in (sdk, operator, agent))
