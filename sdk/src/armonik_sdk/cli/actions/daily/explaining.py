"""Shows why an object is as it is."""

import sys
from dataclasses import dataclass

from armonik_sdk.api.names import as_index
from armonik_sdk.cli.cluster.access import LATEST, Cluster
from armonik_sdk.cli.errors import BadInput
from armonik_sdk.cli.output.writers import yaml_text
from armonik_sdk.cli.views.reading import printable
from armonik_sdk.client.facts import KINDS, explain_object
from armonik_sdk.client.transport.kube import TASKS


@dataclass(frozen=True)
class Subject:
    """What is asked about."""

    name: str
    kind: str = ""
    index: int | None = None

    @classmethod
    def of(cls, text: str) -> "Subject":
        """Of `[KIND/]NAME[/INDEX]`.

        Raises:
            BadInput: the text is anything else.
        """
        parts = text.split("/")
        kind = parts.pop(0) if len(parts) > 1 and parts[0].lower() in KINDS else ""
        index = as_index(parts[1]) if len(parts) == 2 else None
        if index is not None:
            parts.pop()
        if len(parts) != 1 or not parts[0]:
            raise BadInput(f"{text!r}: write NAME, NAME/INDEX, task/NAME, session/NAME or partition/NAME")
        return cls(parts[0], kind, index)


async def show(cluster: Cluster, text: str) -> None:
    """Write the explanation.

    Raises:
        BadInput: it is not clear what is meant.
        NotFound: there is no such object, or the task has no such element.
        Refused: the user may not read it.
    """
    subject = Subject.of(text)
    name, kind = subject.name, subject.kind
    if name == LATEST:
        kind = kind or "task"
        name = await cluster.name(KINDS.get(kind.lower(), TASKS), name)
    found = await cluster.bounded(
        explain_object(cluster.kube, cluster.namespace, name, kind=kind, index=subject.index)
    )
    match cluster.settings.form:
        case "json":
            sys.stdout.write(found.model_dump_json(by_alias=True, indent=4) + "\n")
        case "jsonl":
            sys.stdout.write(found.model_dump_json(by_alias=True) + "\n")
        case "yaml":
            sys.stdout.write(yaml_text(found.model_dump(mode="json", by_alias=True)))
        case "name":
            sys.stdout.write(f"{found.subject}\n")
        case _:
            sys.stdout.write(f"{printable(found.text)}\n")
