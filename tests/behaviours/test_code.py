"""Functions of a module that the workers do not have: its source goes along. PYTEST_DONT_REWRITE."""

import importlib
import importlib.util
import os
import uuid
from pathlib import Path

import pytest

import armonik_sdk as ak
from user_modules import Load, loader

WAIT = 120.0
TIMES = "import armonik_sdk as ak\nfrom {constants} import FACTOR\n\ndef times(x):\n    return FACTOR * x\n"
PARENT = "\ndef parent(x):\n    return ak.current_task().submit(times, x)\n"
UV = """#!/bin/sh
while [ "$1" != --target ]; do shift; done
echo "NAME = 'a package'" > "$2/{name}.py"
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Modules below the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    return loader(tmp_path / "lib", monkeypatch)


def test_loaded_modules_of_the_project_go_along(client: ak.Client, load: Load) -> None:
    constants = load("FACTOR = 3\n").__name__
    module = load(TIMES.format(constants=constants) + PARENT)
    with client.session(on_exit="cancel") as session:
        assert session.submit(module.times, 4).result(WAIT) == 12
        assert session.map(module.times, range(4), chunksize=2).results(timeout=WAIT) == [0, 3, 6, 9]
        assert session.submit(module.parent, 5).result(WAIT) == 15, "sub-tasks import from it, too"
        late = load("def late(x):\n    return -x\n")
        assert session.submit(late.late, 6).result(WAIT) == -6


@pytest.mark.processes
def test_each_session_has_its_own_code(client: ak.Client, load: Load, tmp_path: Path) -> None:
    module = load("def version():\n    return 1\n")
    with client.session(on_exit="cancel") as old, client.session(on_exit="cancel", code=None) as none:
        assert old.submit(module.version).result(WAIT) == 1
        source = tmp_path / "lib" / f"{module.__name__}.py"
        source.write_text("def version():\n    return 2\n")
        with client.session(on_exit="cancel", code=[source]) as new:
            assert new.submit(module.version).result(WAIT) == 2
        assert old.submit(module.version).result(WAIT) == 1
        with pytest.raises(ModuleNotFoundError, match=module.__name__):
            none.submit(module.version).result(WAIT)


def test_packages_go_along(
    client: ak.Client, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What it would install from is not there in every place that this runs in, so uv is a script.
    name = f"of_a_package_{uuid.uuid4().hex}"
    (tmp_path / "uv").write_text(UV.format(name=name))
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module = load("def times(x):\n    return 3 * x\n")

    def found(x: int) -> object:
        return importlib.import_module(name).NAME, module.times(x)

    with client.session(packages=["any"], on_exit="cancel") as session:
        assert session.submit(found, 2).result(WAIT) == ("a package", 6)
