"""Write the CustomResourceDefinitions as YAML, or check that the files are up to date.

python hack/crds.py            write crds/ and charts/armonik/crds/
python hack/crds.py --check    exit 1 and name every file that differs
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from armonik_sdk.api.crd import crds

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT / "crds", ROOT / "charts" / "armonik" / "crds")
HEADER = "# Generated from the models in armonik_sdk.api by hack/crds.py; do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Writes every list and map in full: an alias would save a line and confuse every reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(definition: dict[str, Any]) -> str:
    """The definition as YAML, the same bytes every time."""
    return HEADER + yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def files() -> dict[Path, str]:
    """Every file that should exist, with its content."""
    return {folder / name: render(crd) for folder in FOLDERS for name, crd in crds().items()}


def stale() -> list[Path]:
    """Files that differ from what the models say, or that no model makes."""
    wanted = files()
    differing = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    return differing + [path for folder in FOLDERS for path in folder.glob("*.yaml") if path not in wanted]


def main() -> int:
    """Write or check; the exit code says whether the files are now right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    if parser.parse_args().check:
        differing = stale()
        for path in differing:
            print(f"{path.relative_to(ROOT)} is out of date; run `make crds`", file=sys.stderr)
        return 1 if differing else 0
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
