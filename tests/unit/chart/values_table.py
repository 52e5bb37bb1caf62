"""The table of values in the chart's README, made from the `# --` comments of values.yaml."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from rendering import CHART


def documented_values() -> dict[str, str]:
    """Dotted path of each value with a `# --` comment → that comment."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    comment = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        told = re.match(r"\s*# -- (.*)", line)
        key = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):", line)
        if told:
            comment = told.group(1)
        elif key:
            depth = len(key.group(1))
            parents = [(d, name) for d, name in parents if d < depth] + [(depth, key.group(2))]
            if comment:
                found[".".join(name for _, name in parents)] = comment
            comment = ""
    return found


def values_table() -> str:
    """The table in Markdown."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = [
        f"| `{path}` | `{json.dumps(_at(defaults, path))}` | {comment.replace('|', chr(92) + '|')} |"
        for path, comment in documented_values().items()
    ]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows])


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values
