"""Modules of a user's project, as tests of the code that goes along with calls need them."""

import importlib.util
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

Load = Callable[[str], ModuleType]
"""Writes a module of this text, and loads it."""


def loader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Modules below this folder, loaded without a change of `sys.path`, which a local grid shares."""

    def load(text: str) -> ModuleType:
        name = f"of_the_user_{uuid.uuid4().hex}"
        path = folder / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load
