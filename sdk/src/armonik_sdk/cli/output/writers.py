"""Objects in each form of output. Of a list, one page is in memory at a time."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from armonik_sdk.cli.frame.settings import Settings
from armonik_sdk.cli.output.table import Table
from armonik_sdk.cli.views.columns import NAMESPACE, Noun
from armonik_sdk.cli.views.reading import Object, name_of


class Writer(ABC):
    """Writes objects of one kind."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @abstractmethod
    def page(self, objects: Sequence[Object]) -> None:
        """Write these, after those before."""

    def end(self, *, nothing: str = "") -> None:
        """Write what comes after the last one; `nothing` is for people, where there was none."""
        self._out.flush()

    def _line(self, line: str) -> None:
        self._out.write(f"{line}\n")


def list_writer(noun: Noun, settings: Settings, *, namespaces: bool, watch: bool = False) -> Writer:
    """A writer for a list, in the form of the settings; a list that is watched has no end."""
    out = sys.stdout
    match settings.form:
        case "json":
            return JsonLines(out) if watch else JsonList(out)
        case "yaml":
            return YamlDocuments(out) if watch else YamlList(out)
        case "jsonl":
            return JsonLines(out)
        case "name":
            return Names(out, noun)
        case form:
            return Rows(
                out,
                noun,
                wide=form == "wide",
                namespaces=namespaces,
                coloured=settings.coloured(out),
            )


def write_object(obj: Object, noun: Noun, settings: Settings) -> None:
    """One object, in a form for programs."""
    out = sys.stdout
    match settings.form:
        case "json":
            out.write(json.dumps(cleaned(obj), indent=4, ensure_ascii=False) + "\n")
        case "yaml":
            out.write(yaml_text(cleaned(obj)))
        case "jsonl":
            out.write(json.dumps(cleaned(obj), ensure_ascii=False) + "\n")
        case "name":
            out.write(f"{noun.resource}/{name_of(obj)}\n")
        case _:
            raise AssertionError("forms for people are written by the command")


def cleaned(obj: Object) -> dict[str, Any]:
    """The object without what `kubectl get` leaves out too."""
    if "managedFields" not in (obj.get("metadata") or {}):
        return dict(obj)
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    return {**obj, "metadata": metadata}


def yaml_text(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """As YAML."""
    import yaml  # imported where it is used: it takes a while

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True))


class Rows(Writer):
    """A table."""

    def __init__(
        self, out: TextIO, noun: Noun, *, wide: bool = False, namespaces: bool = False, coloured: bool = False
    ) -> None:
        super().__init__(out)
        self._columns = [
            *([NAMESPACE] if namespaces else []),
            *(c for c in noun.columns if wide or not c.wide),
        ]
        right = [at for at, column in enumerate(self._columns) if column.right]
        self._table = Table([column.title for column in self._columns], right, coloured=coloured)
        self._empty = True

    def page(self, objects: Sequence[Object]) -> None:
        """Their rows."""
        if objects:
            self._empty, now = False, datetime.now(UTC)
            for line in self._table.lines([[c.value(obj, now) for c in self._columns] for obj in objects]):
                self._line(line)

    def end(self, *, nothing: str = "") -> None:
        """Say that there was none, to people."""
        if self._empty and nothing:
            sys.stderr.write(f"{nothing}\n")


class Names(Writer):
    """`task.armonik.io/squares`."""

    def __init__(self, out: TextIO, noun: Noun) -> None:
        super().__init__(out)
        self._noun = noun

    def page(self, objects: Sequence[Object]) -> None:
        """A line for each."""
        for obj in objects:
            self._line(f"{self._noun.resource}/{name_of(obj)}")


class JsonLines(Writer):
    """One object a line."""

    def page(self, objects: Sequence[Object]) -> None:
        """A line for each."""
        for obj in objects:
            self._line(json.dumps(cleaned(obj), ensure_ascii=False))


class JsonList(Writer):
    """A `List`, as `kubectl get -o json` writes one."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._count = 0

    def page(self, objects: Sequence[Object]) -> None:
        """Add them."""
        for obj in objects:
            self._line('{\n    "apiVersion": "v1",\n    "items": [' if self._count == 0 else ",")
            self._count += 1
            text = json.dumps(cleaned(obj), indent=4, ensure_ascii=False)
            self._out.write("\n".join(f"        {line}" for line in text.split("\n")))

    def end(self, *, nothing: str = "") -> None:
        """Close the list."""
        self._out.write("\n    ],\n" if self._count else '{\n    "apiVersion": "v1",\n    "items": [],\n')
        self._line('    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}')


class YamlList(Writer):
    """The same as YAML."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._begun = False

    def page(self, objects: Sequence[Object]) -> None:
        """Add them."""
        if objects:
            self._begin("items:")
            self._out.write(yaml_text([cleaned(obj) for obj in objects]))

    def end(self, *, nothing: str = "") -> None:
        """What follows the list."""
        self._begin("items: []")
        self._line('kind: List\nmetadata:\n  resourceVersion: ""')

    def _begin(self, items: str) -> None:
        if not self._begun:
            self._begun = True
            self._line(f"apiVersion: v1\n{items}")


class YamlDocuments(Writer):
    """A document for each."""

    def page(self, objects: Sequence[Object]) -> None:
        """Each after a line of dashes."""
        for obj in objects:
            self._line("---")
            self._out.write(yaml_text(cleaned(obj)))
