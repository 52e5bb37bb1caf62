"""From a pydantic model to the structural schema that Kubernetes accepts.

Kubernetes takes a subset of OpenAPI 3: no references, no `null`, no `const`, numbers bounded by booleans, and
a closed list of extensions. Pydantic writes JSON Schema 2020-12. What cannot be translated raises instead of
being dropped, so that a model never promises more than the apiserver checks.
"""

from typing import Any, Final

from pydantic import BaseModel

from armonik_sdk.api.errors import NotStructural
from armonik_sdk.api.kinds.schema import SCHEMA_DEFAULT_KEY

Schema = dict[str, Any]

_RULES: Final = "x-kubernetes-validations"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_DROPPED: Final = frozenset({"title", SCHEMA_DEFAULT_KEY})
_ORDER: Final = (
    "description",
    "type",
    "format",
    "anyOf",
    "enum",
    "default",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    _INT_OR_STRING,
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "required",
    "properties",
    "items",
    "additionalProperties",
    _RULES,
)
"""Every key a schema may have, in the order in which the files show them."""
_INT32_MAX: Final = 2**31 - 1
_EXACT_MAX: Final = 2**53 - 1
"""Largest integer of fields without a bound of their own; without it the apiserver takes 1e300 for one."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """The schema of the model in the form a CustomResourceDefinition takes.

    Raises:
        NotStructural: the model uses something that Kubernetes has no word for.
    """
    document = model.model_json_schema(by_alias=True, mode="validation")
    definitions = document.pop("$defs", {})
    return _convert(document, definitions, model.__name__, ())


def _convert(node: Schema, definitions: dict[str, Schema], path: str, opened: tuple[str, ...]) -> Schema:
    node, opened = _inline(node, definitions, path, opened)
    schema: Schema = {}
    for key, value in node.items():
        match key:
            case _ if key in _DROPPED:
                continue
            case "description":
                schema[key] = _one_line(value)
            case "default":
                if node.get(SCHEMA_DEFAULT_KEY):
                    schema[key] = value
            case "const":
                schema["enum"] = [value]
            case "properties":
                schema[key] = {
                    name: _convert(child, definitions, f"{path}.{name}", opened)
                    for name, child in value.items()
                }
            case "items":
                schema[key] = _convert(value, definitions, f"{path}[]", opened)
            case "additionalProperties":
                if value is not False:
                    schema[key] = _convert(_typed(value, path), definitions, f"{path}{{}}", opened)
            case "anyOf" if node.get(_INT_OR_STRING):
                schema[key] = [{"type": "integer"}, {"type": "string"}]
            case _ if key in _ORDER:
                schema[key] = value
            case _:
                raise NotStructural(f"{path}: Kubernetes has no {key!r} in schemas (value {value!r})")
    if schema.get("type") == "integer":
        schema.setdefault("maximum", _EXACT_MAX)
        schema["format"] = "int32" if schema["maximum"] <= _INT32_MAX else "int64"
    return {key: schema[key] for key in _ORDER if key in schema}


def _inline(
    node: Schema, definitions: dict[str, Schema], path: str, opened: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Resolve a reference, or the `X | None` of an optional field, into the node itself."""
    node = dict(node)
    while True:
        if "$ref" in node:
            name = str(node.pop("$ref")).removeprefix("#/$defs/")
            if name in opened:
                raise NotStructural(f"{path}: {name} contains itself")
            opened = (*opened, name)
            inner = definitions[name]
        elif "anyOf" in node and not node.get(_INT_OR_STRING):
            choices = [choice for choice in node.pop("anyOf") if choice != {"type": "null"}]
            if len(choices) != 1:
                raise NotStructural(f"{path}: a field has one type, not {len(choices)}")
            inner = choices[0]
        else:
            return node, opened
        node = _merge(inner, node)


def _merge(inner: Schema, outer: Schema) -> Schema:
    """The outer node refines the inner one, field by field of an object; rules of both hold."""
    merged = {**inner, **outer}
    if "properties" in inner and "properties" in outer:
        fields = {name: _merge(inner["properties"][name], part) for name, part in outer["properties"].items()}
        merged["properties"] = inner["properties"] | fields
    rules = [*inner.get(_RULES, []), *outer.get(_RULES, [])]
    return merged | ({_RULES: rules} if rules else {})


def _typed(value: Any, path: str) -> Schema:
    if not isinstance(value, dict):
        raise NotStructural(f"{path}: a map needs a type for its values")
    return value


def _one_line(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
