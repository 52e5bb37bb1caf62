"""A program `uv` that notes what it was asked, and installs a module and a library."""

import json
import sys
from pathlib import Path

import pytest

UV = """#!{python}
import json, pathlib, sys
given = sys.argv[1:]
if given[0] == "export":
    print("polars==1.0 --hash=sha256:00")
else:
    asked = pathlib.Path(given[given.index("--requirement") + 1]).read_text()
    with open({log!r}, "a") as log:
        log.write(json.dumps([given, asked]) + chr(10))
    if "broken" in asked:
        sys.exit("broken has no wheels with a matching platform tag")
    into = pathlib.Path(given[given.index("--target") + 1])
    for name in ("of_a_package.py", "pkg/fast.so", "pkg/__pycache__/x.pyc", "bin/tool", ".lock"):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_text("NAME = " + repr(asked))
"""


class Uv:
    """A program of this name, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path, self._log = folder / "uv", folder / "log"
        self.path.write_text(UV.format(python=sys.executable, log=str(self._log)))
        self.path.chmod(0o755)

    @property
    def asked(self) -> list[tuple[list[str], str]]:
        if not self._log.exists():
            return []
        return [(given, asked) for given, asked in map(json.loads, self._log.read_text().splitlines())]


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    made = Uv(tmp_path / "programs")
    monkeypatch.setenv("PATH", str(made.path.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made
