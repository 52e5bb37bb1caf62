"""The three CustomResourceDefinitions, as plain dictionaries made from the models.

`hack/crds.py` writes them as YAML to `crds/` and to the chart; the operator applies the same dictionaries at
start.
"""

from dataclasses import dataclass
from typing import Any, Final

from armonik_sdk.api import const
from armonik_sdk.api.kinds import Partition, Resource, Session, Task
from armonik_sdk.api.schema import Schema, structural_schema

_AGE_PATH: Final = ".metadata.creationTimestamp"


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def to_object(self) -> dict[str, Any]:
        """The column as a CustomResourceDefinition spells it."""
        return {
            "name": self.name,
            "type": self.type,
            "jsonPath": self.path,
            "description": self.description,
            "priority": 1 if self.wide else 0,
        }


@dataclass(frozen=True)
class Definition:
    """Fields of a CustomResourceDefinition beside the schema."""

    model: type[Resource]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()
    """Fields that field selectors may use, at most 8."""
    scale: bool = False

    @property
    def kind(self) -> str:
        """The kind, such as Task."""
        return self.model.__name__

    @property
    def name(self) -> str:
        """The definition's name, such as tasks.armonik.io."""
        return f"{self.plural}.{const.API_GROUP}"


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


def _age() -> Column:
    return Column("Age", _AGE_PATH, "Time since creation.", type="date")


def _finished() -> Column:
    path = _condition(const.ConditionType.FINISHED, "lastTransitionTime")
    return Column("Finished", path, "Time since the end.", type="date", wide=True)


SESSION: Final = Definition(
    model=Session,
    plural=const.SESSION_PLURAL,
    short_name=const.SESSION_SHORT_NAME,
    selectable=(".spec.desiredState", ".status.phase"),
    columns=(
        Column("Phase", ".status.phase", "Summary in one word."),
        Column("Progress", ".status.progress", "Succeeded elements of all."),
        Column("Failed", ".status.elements.failed", "Elements that ended with an error.", type="integer"),
        Column("Running", ".status.elements.running", "Elements in the hands of workers.", type="integer"),
        _age(),
        Column("Partition", ".spec.taskDefaults.partition", "Default partition of its tasks.", wide=True),
        _finished(),
        Column("Message", _condition(const.ConditionType.READY, "message"), "Why, in words.", wide=True),
    ),
)

TASK: Final = Definition(
    model=Task,
    plural=const.TASK_PLURAL,
    short_name=const.TASK_SHORT_NAME,
    selectable=(".spec.session", ".status.sessionUid", ".status.phase", ".status.partition"),
    columns=(
        Column("Phase", ".status.phase", "Summary in one word."),
        Column("Progress", ".status.progress", "Succeeded elements of all."),
        Column("Failed", ".status.elements.failed", "Elements that ended with an error.", type="integer"),
        Column("Partition", ".status.partition", "Partition that runs it."),
        _age(),
        Column("Priority", ".status.options.priority", "1 to 99; higher first.", type="integer", wide=True),
        Column("Worker", ".status.worker", "Pod that ran it last; single tasks.", wide=True),
        Column(
            "Reason", ".status.conditions[0].reason", "Reason of the most significant condition.", wide=True
        ),
        _finished(),
    ),
)

PARTITION: Final = Definition(
    model=Partition,
    plural=const.PARTITION_PLURAL,
    short_name=const.PARTITION_SHORT_NAME,
    scale=True,
    columns=(
        Column("Ready", ".status.readyReplicas", "Pods that are ready.", type="integer"),
        Column("Max", ".spec.podMax", "Most pods at a time.", type="integer"),
        Column("Busy", ".status.busyReplicas", "Pods that compute.", type="integer"),
        Column("Queued", ".status.queued", "Elements that wait.", type="integer"),
        _age(),
        Column("Image", ".spec.template.spec.worker.image", "Image of the worker.", wide=True),
        Column(
            "Reserved", ".spec.podReserved", "Pods that run even without work.", type="integer", wide=True
        ),
        Column(
            "Reason", _condition(const.ConditionType.READY, "reason"), "Why it is ready or not.", wide=True
        ),
    ),
)

DEFINITIONS: Final = (SESSION, TASK, PARTITION)


def crd(definition: Definition) -> dict[str, Any]:
    """The whole CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition.name, "labels": {const.PART_OF_LABEL: const.PART_OF}},
        "spec": {
            "group": const.API_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": definition.kind,
                "listKind": f"{definition.kind}List",
                "plural": definition.plural,
                "singular": definition.kind.lower(),
                "shortNames": [definition.short_name],
                "categories": [const.CATEGORY],
            },
            "versions": [_version(definition)],
        },
    }


def crds() -> dict[str, dict[str, Any]]:
    """All definitions by the name of their file, such as `armonik.io_tasks.yaml`."""
    return {f"{const.API_GROUP}_{d.plural}.yaml": crd(d) for d in DEFINITIONS}


def _version(definition: Definition) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": const.API_VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.to_object() for column in definition.columns],
        "schema": {"openAPIV3Schema": _root(definition)},
    }
    if definition.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in definition.selectable]
    if definition.scale:
        version["subresources"]["scale"] = {
            "specReplicasPath": ".spec.podReserved",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return version


def _root(definition: Definition) -> Schema:
    """The model's schema with Kubernetes' own metadata and standard words for the common fields."""
    schema = structural_schema(definition.model)
    schema["required"] = ["spec"]
    schema["properties"] |= {
        "apiVersion": {"type": "string", "description": f"Always {const.GROUP_VERSION}."},
        "kind": {"type": "string", "description": f"Always {definition.kind}."},
        # Naming the field here lets rules blame it.
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    schema["properties"]["spec"]["description"] = "What the user wants."
    status = schema["properties"]["status"]
    status["description"] = "What the operator observed; written by it alone."
    # Its one writer owns it as a whole. Else the apiserver keeps an entry for each of its fields in
    # metadata.managedFields, a third of a small Task, and merges them at every write (ADR 0010).
    status["x-kubernetes-map-type"] = "atomic"
    return schema
