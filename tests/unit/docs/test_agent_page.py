"""docs/agent.md names every setting and every metric of the agent, and no other."""

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from armonik_agent.http_endpoints import Metrics
from armonik_agent.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "agent.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_documented_metrics_are_those_exported() -> None:
    documented = {row[0].strip("`"): row[1] for row in _rows("Metrics")}
    exported = {}
    for metric in (m for m in vars(Metrics()).values() if hasattr(m, "describe")):
        for family in metric.describe():
            labels = "{" + ",".join(metric._labelnames) + "}" if metric._labelnames else ""
            total = "_total" if family.type == "counter" else ""
            exported[f"{family.name}{total}{labels}"] = family.type
    assert documented == exported


def test_the_registry_holds_no_metric_that_is_not_documented() -> None:
    documented = {re.sub(r"_total|\{.*\}|`", "", row[0]) for row in _rows("Metrics")}
    assert {family.name for family in Metrics().registry.collect()} == documented


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    field = Settings.model_fields[name]
    row = next(row for row in _rows("Settings") if row[0] == f"`{field.alias}`")
    required = field.default is PydanticUndefined
    default = "required" if required else f"`{field.default}`" if field.default != "" else "empty"
    assert row[1] == default


def test_no_setting_is_documented_that_is_not_there() -> None:
    aliases = {f"`{field.alias}`" for field in Settings.model_fields.values()}
    assert {row[0] for row in _rows("Settings")} == aliases
