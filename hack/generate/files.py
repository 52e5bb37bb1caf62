"""The command line of a program that writes generated files, or checks that they are up to date."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def differing(wanted: Mapping[Path, str]) -> list[Path]:
    """Files that differ from what would be written."""
    return [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]


def write_or_check(
    description: str | None,
    files: Callable[[], Mapping[Path, str]],
    stale: Callable[[], Sequence[Path]],
    target: str,
    root: Path,
) -> int:
    """Write the files, or with `--check` name those that are stale, from `root` on, and the make target.

    Returns:
        The exit code: whether the files are now right.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is out of date")
    if parser.parse_args().check:
        found = stale()
        for path in found:
            print(f"{path.relative_to(root)} is out of date; run `make {target}`", file=sys.stderr)
        return 1 if found else 0
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0
