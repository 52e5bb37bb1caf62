"""The table of bounds in docs/protocol.md says what the code has; each constant has a row."""

import re
from pathlib import Path

import pytest

from armonik_agent.rpc import headers, status
from armonik_sdk.api import bounds

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
UNITS = {"": 1, "KiB": bounds.KIB, "MiB": bounds.MIB, "GiB": bounds.GIB}
ELSEWHERE = {
    "MAX_DETAILS_BYTES": status.MAX_DETAILS_BYTES,
    "MAX_HEADER_BYTES": headers.MAX_HEADER_BYTES,
}
"""Those of the agent's gRPC, which refers to nothing else of ours."""
HAPPENS = ("refused", "spilled", "split", "cut", "dropped")
CONSTANTS = {name: value for name, value in vars(bounds).items() if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", name)}


def rows() -> list[list[str]]:
    """The cells of each row of the table."""
    section = PROTOCOL.read_text().split("\n## Bounds\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_each_row_has_the_bound_that_its_constant_has(row: list[str]) -> None:
    what, bound, constant, where, above = row
    assert all((what, where))
    assert above.split()[0].strip(":,") in HAPPENS
    number, _, unit = bound.partition(" ")
    name = constant.strip("`")
    assert int(number.replace(",", "")) * UNITS[unit] == {**CONSTANTS, **ELSEWHERE}[name]


def test_each_constant_is_in_the_table() -> None:
    assert {row[2].strip("`") for row in rows()} == CONSTANTS.keys() | ELSEWHERE.keys()


def test_no_row_is_there_twice() -> None:
    named = [row[0] for row in rows()]
    assert len(named) == len(set(named))
