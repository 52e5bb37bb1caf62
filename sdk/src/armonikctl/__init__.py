"""Where the program `armonikctl` begins: nothing is imported before `run`, so Ctrl-C then ends it quietly.

That is why it is not in `armonik_sdk`: to import a module of a package is to import the package first.
"""

import gc  # part of the interpreter: no file is read

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, whose module takes long to import."""


def run() -> int:
    """Do what the command line says.

    What is imported stays until the end, so looks for garbage among it find nothing, nor does the last one.
    `running.prepare` lets them begin before a command does its work.

    Returns:
        The exit code.
    """
    gc.disable()
    try:
        from armonik_sdk.cli.main import main

        return main()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        gc.freeze()


def complete() -> int:
    """Completions for `kubectl armonik`."""
    try:
        from armonik_sdk.cli.main import complete

        return complete()
    except KeyboardInterrupt:
        return INTERRUPTED
