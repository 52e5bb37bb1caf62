"""A line of the log, as operator and agent write it."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from armonik_sdk.json_logs import configure_logs

GLOBALS = ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written; afterwards all is as it was."""
    for name in GLOBALS:
        monkeypatch.setattr(logging, name, getattr(logging, name, True), raising=False)
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    before, level = list(logging.root.handlers), logging.root.level
    logging.root.handlers.clear()
    configure_logs("info")
    yield written
    logging.root.handlers[:] = before
    logging.root.setLevel(level)


def test_a_line_has_time_level_logger_message_and_extras(lines: io.StringIO) -> None:
    log = logging.getLogger("some.module")
    log.info("task %s é", "t", extra={"uid": "u", "set": frozenset("a")})
    log.debug("not this one")
    line = json.loads(lines.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "some.module",
        "message": "task t é",
        "uid": "u",
        "set": "frozenset({'a'})",
    }
    assert "é" in lines.getvalue()


def test_an_exception_is_in_the_line(lines: io.StringIO) -> None:
    try:
        int("why")
    except ValueError:
        logging.getLogger("some.module").exception("it failed")
    line = json.loads(lines.getvalue())
    assert line["message"] == "it failed"
    assert "in test_an_exception_is_in_the_line" in line["exception"]
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'why'")


def test_no_line_costs_the_search_for_its_caller(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object, **__: object) -> object:
        raise AssertionError("the caller was looked for")

    monkeypatch.setattr(logging, "currentframe", found)
    logging.getLogger("some.module").info("message")
    assert json.loads(lines.getvalue())["message"] == "message"
