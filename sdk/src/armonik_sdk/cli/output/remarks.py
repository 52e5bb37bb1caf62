"""Remarks, questions and computed values."""

import json
import sys
from collections.abc import Sequence

import click

from armonik_sdk.cli.errors import Declined, NeedsYes
from armonik_sdk.cli.forms.base import Form, Part, values_of
from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.writers import yaml_text
from armonik_sdk.cli.views.reading import printable


def remark(settings: Settings, text: str) -> None:
    """Say something that is no result, on stderr."""
    if not settings.quiet:
        click.echo(printable(text), err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed.

    Raises:
        Declined: the answer is no.
        NeedsYes: nobody can be asked.
        click.Abort: the question was interrupted.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise NeedsYes(f"{question} Not asked, as stdin is no terminal: repeat it with --yes.")
    if not click.confirm(question, err=True):
        raise Declined("nothing was changed")


def write_form(settings: Settings, form: Form) -> bool:
    """Write it in a form for programs; False where people shall see it."""
    body = values_of(form)
    match settings.form:
        case "json":
            sys.stdout.write(json.dumps(body, indent=4, ensure_ascii=False) + "\n")
        case "jsonl":
            sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
        case "yaml":
            sys.stdout.write(yaml_text(body))
        case _:
            return False
    return True


def write_line(settings: Settings, form: Part) -> None:
    """Write one of many, in a form for programs: a line of JSON, or a document of YAML."""
    body = values_of(form)
    if settings.form == "yaml":
        sys.stdout.write(f"---\n{yaml_text(body)}")
    else:
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")


def write_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Labels and values, below each other; an indented text is a value without a label."""
    width = max((len(label) for label, _ in facts), default=0) + 3
    for label, value in facts:
        first, *more = printable(value).split("\n")
        sys.stdout.write(f"{label:<{width}}{first}".rstrip() + "\n")
        for line in more:
            sys.stdout.write(" " * width + line + "\n")
