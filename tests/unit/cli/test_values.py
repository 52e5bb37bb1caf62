"""Kinds of values on the command line: what is taken, and what is said of the rest."""

import click
import pytest

from armonik_sdk.api.ranges import Ranges
from armonik_sdk.cli.frame.kinds_of_values import DURATION, INDEXES, KEY_VALUE, NEEDED, WHOLE_SECONDS, Words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("0.5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "30", "5 m", "m", "1h30", "-5s", "5M"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90s, 5m, 2h, 1d"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize("text", ["0s", "1.5s"])
def test_what_the_cluster_keeps_is_in_whole_seconds(text: str) -> None:
    assert WHOLE_SECONDS.convert("2m", None, None) == 120
    with pytest.raises(click.BadParameter, match="whole seconds"):
        WHOLE_SECONDS.convert(text, None, None)


def test_settings() -> None:
    assert KEY_VALUE.convert("a=b=c", None, None) == ("a", "b=c")
    assert KEY_VALUE.convert("a=", None, None) == ("a", "")
    for wrong in ("a", "=b", ""):
        with pytest.raises(click.BadParameter, match="KEY=VALUE"):
            KEY_VALUE.convert(wrong, None, None)


def test_dependencies() -> None:
    assert NEEDED.convert("parse", None, None) == ("parse", None, None)
    assert NEEDED.convert("parse.table", None, None) == ("parse", "table", None)
    assert NEEDED.convert("parse:3", None, None) == ("parse", None, 3)
    assert NEEDED.convert("parse.table:3", None, None) == ("parse", "table", 3)
    for wrong in ("", "Parse", "parse:", "parse:x", ".table", "parse.table.more"):
        with pytest.raises(click.BadParameter, match="TASK"):
            NEEDED.convert(wrong, None, None)


def test_indexes() -> None:
    assert INDEXES.convert("3,7-9", None, None) == Ranges.of([(3, 4), (7, 10)])
    for wrong in ("", "9-7", "x", "3,2"):
        with pytest.raises(click.BadParameter, match="3,7-9"):
            INDEXES.convert(wrong, None, None)


def test_words_of_a_set() -> None:
    phases = Words(("Running", "Paused"))
    assert phases.convert("paused, RUNNING", None, None) == ("Paused", "Running")
    with pytest.raises(click.BadParameter, match="none of Running, Paused"):
        phases.convert("Runing", None, None)
