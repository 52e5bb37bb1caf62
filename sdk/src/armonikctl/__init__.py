"""Where the program begins: it imports nothing by itself, so Ctrl-C during the imports ends it quietly."""

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
