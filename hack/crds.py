"""Write the CustomResourceDefinitions as YAML, or check that the files are up to date.

python -m hack.crds            write crds/ and charts/armonik/crds/
python -m hack.crds --check    exit 1 and name every file that differs
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from hack.generate.files import ROOT, differing, write_or_check

from armonik_sdk.api.crd import crds

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
    return differing(wanted) + [
        path for folder in FOLDERS for path in folder.glob("*.yaml") if path not in wanted
    ]


def main() -> int:
    """Write or check; the exit code says whether the files are now right."""
    return write_or_check(__doc__, files, stale, "crds", ROOT)


if __name__ == "__main__":
    sys.exit(main())
