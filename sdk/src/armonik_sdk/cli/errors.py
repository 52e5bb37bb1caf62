"""The errors of the program, beside those of `armonik_sdk.client`; `exit_codes` says how each ends it.

CliError
├── WorkFailed   what was asked was done, and the work did not succeed
├── Missing      there is nothing of that name or description
├── Declined     the user answered a question with no
├── NeedsYes     a question could not be asked: stdin is no terminal, and --yes was not given
├── BadInput     a file or a value is not what the command takes
└── TimeOver     the time given to a wait is over
"""


class CliError(Exception):
    """Root of the errors raised by `armonik_sdk.cli`."""


class WorkFailed(CliError):  # noqa: N818 - reads as what happened
    """What was asked was done, and the work did not succeed."""


class Missing(CliError):  # noqa: N818 - reads as what happened
    """There is nothing of that name or description."""


class Declined(CliError):  # noqa: N818 - reads as what happened
    """The user answered a question with no."""


class NeedsYes(CliError):  # noqa: N818 - reads as what happened
    """A question could not be asked: stdin is no terminal, and --yes was not given."""


class BadInput(CliError):  # noqa: N818 - reads as what happened
    """A file or a value is not what the command takes."""


class TimeOver(CliError):  # noqa: N818 - reads as what happened
    """The time given to a wait is over."""
