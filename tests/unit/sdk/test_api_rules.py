"""The rules that make the API of functions predictable, and for each the tests that hold it.

1. All keyword arguments of a call belong to the function.
2. Futures are found at any depth of the arguments, and can be pickled nowhere else.
3. A future of another session is fetched and sent again, with one warning; one of another client is refused.
4. An exception of the function is final unless `retry_on` names it; what dies under it is tried again.
5. Inside a worker nobody waits; a future that is returned hands the output over.
6. The end of a session's block waits and closes it, an exception cancels it, `keep` leaves it as it is.
7. The time-out of a wait cancels nothing; `result()` never blocks the loop that it waits for.
8. The library does not print: it logs to `armonik_sdk`, where nothing listens unless the program says so.
"""

import ast
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import armonik_sdk as ak
from armonik_sdk.testing import LocalGrid

TESTS = Path(__file__).parents[2]
HELD_BY = {
    1: ["behaviours/test_calls.py::test_all_keyword_arguments_belong_to_the_function"],
    2: [
        "behaviours/test_calls.py::test_futures_are_dependencies_at_any_depth",
        "behaviours/test_calls.py::test_the_result_of_a_map_is_one_argument",
        "behaviours/test_errors.py::test_a_future_outside_of_a_submission_cannot_be_pickled",
        "unit/sdk/test_functions_calls.py::test_a_text_that_looks_like_a_placeholder_stays_a_text",
    ],
    3: [
        "behaviours/test_calls.py::test_a_future_of_another_session_is_fetched_and_sent_again",
        "unit/sdk/test_api_rules.py::test_a_future_of_another_client_is_refused",
    ],
    4: [
        "behaviours/test_errors.py::test_an_exception_of_the_function_is_final",
        "behaviours/test_errors.py::test_exceptions_that_are_named_are_tried_again",
        "behaviours/test_errors.py::test_a_process_that_dies_is_tried_again_and_then_lost",
    ],
    5: [
        "behaviours/test_subtasks.py::test_nobody_waits_inside_a_worker",
        "behaviours/test_subtasks.py::test_a_returned_future_hands_the_output_over",
    ],
    6: [
        "behaviours/test_calls.py::test_the_end_of_a_session_waits_for_what_was_submitted",
        "behaviours/test_calls.py::test_a_session_that_is_kept_can_be_attached_to",
        "behaviours/test_calls.py::test_leaving_a_session_by_an_exception_cancels_it",
        "unit/sdk/test_portal.py::test_ctrl_c_in_a_session_says_that_it_is_cancelled",
    ],
    7: [
        "behaviours/test_calls.py::test_a_timeout_of_a_wait_cancels_nothing",
        "unit/sdk/test_portal.py::test_result_in_asynchronous_code_raises_unless_it_is_there",
    ],
    8: [
        "unit/sdk/test_api_rules.py::test_the_library_prints_nothing",
        "unit/sdk/test_api_rules.py::test_it_logs_where_nothing_listens_by_itself",
    ],
}


def test_each_rule_has_tests_that_exist() -> None:
    rules = [line for line in (__doc__ or "").splitlines() if line[:1].isdigit()]
    assert [int(line.partition(".")[0]) for line in rules] == list(HELD_BY)
    for held in HELD_BY.values():
        for named in held:
            file, _, test = named.partition("::")
            tree = ast.parse((TESTS / file).read_text())
            defined = {
                node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert test in defined, named


def test_a_future_of_another_client_is_refused() -> None:
    with LocalGrid(1) as one, LocalGrid(1) as two, one.session() as session, two.session() as other:
        future = session.submit(abs, -1)
        with pytest.raises(ak.NotPicklable, match="a Future of another client cannot be sent"):
            other.submit(abs, future)


def test_it_logs_where_nothing_listens_by_itself() -> None:
    said = "import logging, armonik_sdk; logging.getLogger('armonik_sdk').warning('nobody listens')"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")
    assert any(
        isinstance(handler, logging.NullHandler) for handler in logging.getLogger("armonik_sdk").handlers
    )


def test_the_library_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with LocalGrid() as client, client.session() as session:
        assert session.map(abs, [-1, 2]).results() == [1, 2]
        assert session.submit(divmod, 1, 0).exception() is not None
    assert capfd.readouterr() == ("", "")
