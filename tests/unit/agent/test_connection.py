"""What the agent knows of its connection to NATS."""

import time

from armonik_agent.context import Connection


def test_silence_counts_from_the_request_that_was_not_answered() -> None:
    connection = Connection()
    connection.silent(time.monotonic() - 30.0)
    assert connection.away >= 30.0
    assert not connection.present.is_set()


def test_an_answer_ends_silence_and_counts_as_a_reconnect() -> None:
    connection = Connection()
    connection.silent(time.monotonic())
    connection.answered()
    assert (connection.away, connection.reconnects) == (0.0, 1)


def test_an_answer_that_came_before_the_end_does_not_make_the_connection_present() -> None:
    connection = Connection()
    connection.silent(time.monotonic())
    connection.lost()
    connection.answered()
    assert not connection.present.is_set()
    connection.back()
    assert connection.present.is_set()


def test_an_answer_on_a_good_connection_changes_nothing() -> None:
    connection = Connection()
    connection.answered()
    assert (connection.present.is_set(), connection.reconnects) == (True, 0)
