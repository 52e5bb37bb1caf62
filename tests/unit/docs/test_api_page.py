"""The reference of the API has each condition and each reason, once."""

import re
from pathlib import Path

from armonik_sdk.api.const import ConditionType, FailureReason, Reason

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
SECTION = PAGE.partition("\n## Conditions and reasons\n")[2].partition("\n## ")[0]


def _rows(after: str) -> list[str]:
    """First cells of the table that follows a text."""
    table = SECTION.partition(after)[2].partition("\n|")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)`", table, re.MULTILINE)


def test_each_condition_has_one_row() -> None:
    assert sorted(_rows("More reasons may come.")) == sorted(ConditionType)


def test_each_reason_is_named_in_the_table_of_its_condition() -> None:
    tables = [_rows(f"\n{after}") for after in ("`Finished`:", "`Ready`:", "`Waiting` (")]
    for table in tables:
        assert len(table) == len(set(table)) > 4
    named = {reason for table in tables for reason in table} | set(re.findall(r"`([A-Z]\w+)`", SECTION))
    assert set(Reason) <= named


def test_each_reason_of_a_failed_element_has_one_row() -> None:
    assert sorted(_rows("Reasons of an element that did not succeed")) == sorted(FailureReason)
