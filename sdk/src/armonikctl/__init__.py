"""Where the program `armonikctl` begins: nothing is imported before `run`, so Ctrl-C then ends it quietly.

That is why it is not in `armonik_sdk`: to import a module of a package is to import the package first.
"""

INTERRUPTED = 130
"""`ExitCode.INTERRUPTED`, whose module takes long to import."""


def run() -> int:
    """Do what the command line says.

    Returns:
        The exit code.
    """
    try:
        from armonik_sdk.cli.main import main

        return main()
    except KeyboardInterrupt:
        return INTERRUPTED


def complete() -> int:
    """Completions for `kubectl armonik`."""
    try:
        from armonik_sdk.cli.main import complete

        return complete()
    except KeyboardInterrupt:
        return INTERRUPTED
