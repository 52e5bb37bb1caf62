"""Entry points: the program itself, and completion for kubectl."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from armonik_sdk.cli.commands.about import COMPLETE
from armonik_sdk.cli.commands.root import root
from armonik_sdk.cli.exit_codes import ExitCode, exit_code
from armonik_sdk.cli.frame import lean_kubernetes
from armonik_sdk.cli.frame.click_classes import plain_usage
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.views.reading import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns:
        The exit code.
    """
    _open_streams()
    lean_kubernetes.defer()
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = program_name(sys.argv[0])
    try:
        if asked := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            return shell_complete(root, {}, name, COMPLETE, asked)
        code = _run(name, given)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()  # who read it has what was wanted
        return ExitCode.DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised again unless it is known
        return _failed(error)
    return code


def _open_streams() -> None:
    """See that there are three streams: a caller may have closed some, and may not understand all letters."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - until the program's end
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def program_name(path: str) -> str:
    """How the user called it: `kubectl armonik` for kubectl's plugin."""
    name = Path(path).name
    return "kubectl armonik" if name.startswith("kubectl-armonik") else "armonikctl"


def complete() -> int:
    """Completions for `kubectl armonik`, as kubectl asks plugins for them: one a line, then a directive."""
    from click.shell_completion import ShellComplete

    *words, begun = sys.argv[1:] or [""]
    found = ShellComplete(root, {}, "kubectl armonik", COMPLETE).get_completions(words, begun)
    for item in found:
        print(f"{item.value}\t{item.help}" if item.help else item.value)  # noqa: T201 - its output
    print(":4")  # noqa: T201 - complete nothing else, as names of files
    return ExitCode.DONE


def _run(name: str, arguments: list[str]) -> int:
    try:
        with root.make_context(name, arguments, obj=Settings.of()) as ctx:
            code = root.invoke(ctx)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return code if isinstance(code, int) else ExitCode.DONE


def _failed(error: BaseException) -> int:
    """Say what went wrong; the exit code.

    Raises:
        BaseException: the error itself, where it is a mistake in our code.
    """
    code = exit_code(error)
    if code is None:
        raise error
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            _say(error.message)
        elif isinstance(error, click.ClickException):
            _say(f"Error: {error.format_message()}")
            if isinstance(error, click.UsageError) and error.ctx is not None:
                _say(f"{plain_usage(error.ctx)}\nTry `{error.ctx.command_path} --help`.")
        elif code is ExitCode.INTERRUPTED:
            _say("Interrupted.")
        else:
            _say(f"Error: {str(error) or type(error).__name__}")
    return code


def _say(text: str) -> None:
    click.echo(printable(text), err=True)  # an error may repeat what a function raised


def _forget_stdout() -> None:
    """Let what is still in the buffer go nowhere: else Python reports the closed pipe at its end."""
    with contextlib.suppress(OSError, ValueError):  # a test's stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
