"""How each error ends the program: the one mapping of errors to exit codes."""

from collections.abc import Iterator
from enum import IntEnum

import click

from armonik_sdk.cli import errors


class ExitCode(IntEnum):
    """Exit codes; scripts rely on them. `MEANINGS` says what each means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    NOT_CONNECTED = 5
    TIME_OVER = 124
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.DONE: "done; what was waited for succeeded",
    ExitCode.FAILED: "it was done, and the work failed: elements failed, or `doctor` found a problem",
    ExitCode.USAGE: "wrong usage",
    ExitCode.NOT_FOUND: "not found",
    ExitCode.REFUSED: "refused: by a rule, by access rights, or by you at a question",
    ExitCode.NOT_CONNECTED: "not connected, or a server does not answer",
    ExitCode.TIME_OVER: "the time given is over",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


def exit_code(error: BaseException) -> ExitCode | None:
    """The exit code of an error; None for one that is a mistake in our code, which should show its trace."""
    return next((code for kind, code in _table() if isinstance(error, kind)), None)


def _table() -> Iterator[tuple[type[BaseException], ExitCode]]:
    """Kinds of errors with their codes; the first that fits counts."""
    yield errors.WorkFailed, ExitCode.FAILED
    yield errors.Missing, ExitCode.NOT_FOUND
    yield errors.Declined, ExitCode.REFUSED
    yield errors.NeedsYes, ExitCode.USAGE
    yield errors.BadInput, ExitCode.USAGE
    yield errors.TimeOver, ExitCode.TIME_OVER
    yield click.Abort, ExitCode.INTERRUPTED
    yield KeyboardInterrupt, ExitCode.INTERRUPTED
    yield click.FileError, ExitCode.FAILED
    yield UnicodeEncodeError, ExitCode.USAGE  # an argument that is no text
    yield click.ClickException, ExitCode.USAGE
    # The client takes long to import: only a command that connected can have raised these.
    from armonik_sdk.client import errors as client

    yield client.NotFound, ExitCode.NOT_FOUND
    yield client.Refused, ExitCode.REFUSED
    yield client.AlreadyExists, ExitCode.REFUSED
    yield client.NotConnected, ExitCode.NOT_CONNECTED
    yield client.Unavailable, ExitCode.NOT_CONNECTED
    yield client.WaitTimeout, ExitCode.TIME_OVER
    yield client.ResultError, ExitCode.FAILED
    from armonik_sdk.api.errors import ApiError
    from armonik_sdk.apiserver import NoName
    from armonik_sdk.functions import FunctionsError

    yield NoName, ExitCode.USAGE
    yield ApiError, ExitCode.USAGE
    yield FunctionsError, ExitCode.FAILED
    yield OSError, ExitCode.FAILED
