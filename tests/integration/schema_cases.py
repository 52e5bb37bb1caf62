"""Every wrong value that a kind's schema rules out: too small, too large, of another type, unknown.

Made from the definitions themselves, so a new field is covered when it appears.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from armonik_sdk.api.crd import crds

Schema = dict[str, Any]
_OTHER: dict[str, Any] = {"string": 7, "integer": "many", "number": "many", "boolean": "maybe", "array": 7}
_FAR = 100_000
"""Longest text and list that is tried; requests have a bound of their own."""


@dataclass(frozen=True)
class Case:
    """A wrong value, where it is, and what the apiserver must say of it."""

    what: str
    path: tuple[str | int, ...]
    value: Any
    says: str

    @property
    def field(self) -> str:
        """As the apiserver writes it."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)[1:]

    def put(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The manifest with the wrong value in it, and all objects and lists above it."""
        put: Any = self.value
        for part in reversed(self.path[1:]):
            put = [put] if isinstance(part, int) else {part: put}
        return {**manifest, "spec": merged(manifest["spec"], put)}


def merged(old: Any, new: Any) -> Any:
    """`new` over `old`, field by field."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


def cases(kind: str) -> list[Case]:
    """All of one kind."""
    definition = next(crd for crd in crds().values() if crd["spec"]["names"]["kind"] == kind)
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return list(_below(spec, ("spec",)))


def _below(schema: Schema, path: tuple[str | int, ...]) -> Iterator[Case]:
    yield from _wrong(schema, path)
    for name, child in schema.get("properties", {}).items():
        yield from _below(child, (*path, name))
    if isinstance(items := schema.get("items"), dict):
        yield from _below(items, (*path, 0))
    if isinstance(values := schema.get("additionalProperties"), dict):
        yield from _below(values, (*path, "key"))


def _wrong(schema: Schema, path: tuple[str | int, ...]) -> Iterator[Case]:
    type_ = schema.get("type", "")
    if type_ == "object" and len(path) > 1:
        yield Case("type", path, "text", "must be of type object")
    if "properties" in schema:
        yield Case("unknown", (*path, "noSuchField"), 1, "unknown field")
    if type_ in _OTHER and not schema.get("x-kubernetes-int-or-string"):
        yield Case("type", path, _OTHER[type_], f"must be of type {type_}")
    if "minimum" in schema:
        yield Case("too small", path, schema["minimum"] - 1, "should be greater than or equal to")
    if "maximum" in schema:
        yield Case("too large", path, schema["maximum"] + 1, "should be less than or equal to")
    if "enum" in schema and type_ == "string":
        yield Case("not one of", path, "NoSuchValue", "Unsupported value")
    if schema.get("minLength"):
        yield Case("too short", path, "", "at least")
    if schema.get("maxLength", _FAR) < _FAR:
        yield Case("too long", path, "a" * (schema["maxLength"] + 1), "Too long")
    if (pattern := schema.get("pattern")) and not re.search(pattern, "\t~"):
        yield Case("malformed", path, "\t~", "should match")
    if schema.get("minItems"):
        yield Case("too few", path, [], "at least")
    if schema.get("maxItems", _FAR) < _FAR:
        yield Case("too many", path, _many(schema["items"], schema["maxItems"] + 1), "must have at most")
    if "maxProperties" in schema:
        many = {f"k{at}": "" for at in range(schema["maxProperties"] + 1)}
        yield Case("too many", path, many, "must have at most")


def _many(items: Schema, count: int) -> list[Any]:
    return [{} if items.get("type") == "object" else f"a{at}" for at in range(count)]
