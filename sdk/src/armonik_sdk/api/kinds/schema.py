"""Annotations beyond JSON Schema: CEL rules, list types, defaults that the apiserver stores.

Everything here becomes `json_schema_extra` and is read by the generator in `armonik_sdk.api.crd`.
"""

from typing import Final

from pydantic import JsonValue

Extra = dict[str, JsonValue]

SCHEMA_DEFAULT_KEY: Final = "x-armonik-schema-default"

SCHEMA_DEFAULT: Final[Extra] = {SCHEMA_DEFAULT_KEY: True}
"""The field's default is stored in the object by the apiserver. Without this mark a Python default stays in
Python: a stored default would beat the layers below it."""

SET: Final[Extra] = {"x-kubernetes-list-type": "set"}
ATOMIC: Final[Extra] = {"x-kubernetes-list-type": "atomic"}


def map_list(*keys: str) -> Extra:
    """A list whose entries are identified by these fields, so that appliers can share it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def refined(**fields: Extra) -> Extra:
    """Bounds of the fields of a nested model that are narrower here than in the model itself."""
    return {"properties": {name: dict(extra) for name, extra in fields.items()}}


def cel(
    rule: str,
    message: str = "",
    *,
    message_expression: str = "",
    field_path: str = "",
    reason: str = "",
) -> Extra:
    """One validation rule in Kubernetes' Common Expression Language.

    Args:
        rule: the expression; `self` is the value the rule is attached to, `oldSelf` its former value.
        message: what the user reads.
        message_expression: an expression that builds the message; `message` is used if it fails.
        field_path: the field to blame, relative to the value, such as `.desiredState`.
        reason: `FieldValueInvalid` (if empty), `FieldValueRequired`, `FieldValueForbidden` or
            `FieldValueDuplicate`.
    """
    entry: Extra = {"rule": rule}
    if message:
        entry["message"] = message
    if message_expression:
        entry["messageExpression"] = message_expression
    if field_path:
        entry["fieldPath"] = field_path
    if reason:
        entry["reason"] = reason
    return entry


def rules(*entries: Extra) -> Extra:
    """Attach CEL rules to a model or field."""
    return {"x-kubernetes-validations": list(entries)}
