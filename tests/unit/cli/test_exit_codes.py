"""Every error of the SDK has its exit code; a mistake in our code has none."""

import click
import pytest

from armonik_sdk.api.errors import InvalidIntervals
from armonik_sdk.cli import errors, main
from armonik_sdk.cli.exit_codes import MEANINGS, ExitCode, exit_code
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.remarks import remark
from armonik_sdk.client import errors as client
from armonik_sdk.functions import NotPicklable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.WorkFailed("3 elements failed"), 1),
        (client.ResultAborted("t.0.result", "WorkerError"), 1),
        (client.ResultDamaged("shorter"), 1),
        (NotPicklable("a lock"), 1),
        (FileNotFoundError("items.jsonl"), 1),
        (click.UsageError("no such option"), 2),
        (errors.NeedsYes("Delete?"), 2),
        (errors.BadInput("line 3"), 2),
        (InvalidIntervals("3-1"), 2),
        (client.NotFound("no task"), 3),
        (errors.Missing("no tasks"), 3),
        (client.Refused("forbidden"), 4),
        (client.AlreadyExists("taken"), 4),
        (errors.Declined("nothing was changed"), 4),
        (client.NotConnected("no kubeconfig"), 5),
        (client.Unavailable("does not answer"), 5),
        (client.WaitTimeout("over"), 124),
        (errors.TimeOver("over"), 124),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (KeyError("a mistake"), None),
    ],
)
def test_an_error_ends_the_program_with_its_code(error: BaseException, code: int | None) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize("module", [errors, client])
def test_every_error_has_a_code(module: object) -> None:
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    roots = (errors.CliError, client.ClientError)
    made = [kind.__new__(kind) for kind in kinds if kind not in roots]
    assert len(made) > 5
    assert [error for error in made if exit_code(error) is None] == []


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_what_errors_and_remarks_repeat_of_others_does_nothing_to_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    raised = client.ResultAborted("t.0.result", "WorkerError", "\x1b[2J")
    assert main._failed(raised) == ExitCode.FAILED
    remark(Settings(), "it said \x1b]0;x\x07\n2 lines")
    assert capsys.readouterr().err.splitlines() == [
        "Error: t.0.result was aborted: WorkerError: \\x1b[2J",
        "it said \\x1b]0;x\\x07",
        "2 lines",
    ]
