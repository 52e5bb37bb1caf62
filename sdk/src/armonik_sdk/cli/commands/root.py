"""The program's root: nouns, and the verbs for every day."""

from typing import Final

from armonik_sdk.cli.exit_codes import MEANINGS
from armonik_sdk.cli.frame.click_classes import LazyGroup

_HERE: Final = "armonik_sdk.cli.commands"

_EXITS: Final = "\n".join(f"    {code:>3}  {meaning}" for code, meaning in MEANINGS.items())

root: Final = LazyGroup(
    name="armonikctl",
    help="""Work with ArmoniK on a Kubernetes cluster: submit work, follow it, read its results.

    \b
    session    groups tasks that belong together; they end and are removed together
    task       work of one or many elements; each element is computed once by a worker
    partition  the worker pods of one kind, and how many of them there are
    result     data that tasks read and write
    env        packages and source files that functions import, kept for all sessions

    Names may be given as `@latest`, which is the newest of its kind.

    \b
    Exit codes:
"""
    + _EXITS,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    lazy={
        "session": f"{_HERE}.nouns.session",
        "task": f"{_HERE}.nouns.task",
        "partition": f"{_HERE}.nouns.partition",
        "result": f"{_HERE}.nouns.result",
        "env": f"{_HERE}.nouns.env",
        "run": f"{_HERE}.daily.run",
        "explain": f"{_HERE}.daily.explain",
        "logs": f"{_HERE}.daily.logs",
        "top": f"{_HERE}.daily.top",
        "doctor": f"{_HERE}.daily.doctor",
        "completion": f"{_HERE}.about",
        "version": f"{_HERE}.about",
    },
    also={
        "sessions": "session",
        "aks": "session",
        "tasks": "task",
        "tk": "task",
        "partitions": "partition",
        "akp": "partition",
        "results": "result",
        "envs": "env",
        "environment": "env",
        "environments": "env",
    },
)
