"""Objects as a structural schema of the CustomResourceDefinitions allows them, for Hypothesis.

Only the schema is followed: whatever it accepts may come, with text beyond ASCII and values at its bounds.
Rules in CEL are not evaluated, but for one form: of fields of which one may be set, mostly one is.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

Schema = dict[str, Any]
CRDS = Path(__file__).resolve().parents[1] / "crds"
RULES = "x-kubernetes-validations"
_ONE = re.compile(r"\[(has\(self\.\w+\)(?:, has\(self\.\w+\))+)\]\.filter\(x, x\)\.size\(\) (==|<=) 1")
_MANY = 3
"""Most entries of a list or map, but for those at their bound."""
_LONG = 300
"""Most characters of a text, but for those at their bound."""
_INT64 = 2**63 - 1
_LETTERS = st.characters(exclude_categories=["Cs"])  # JSON has no lone surrogates
_UNICODE = ("é", "ß", "€", "字", "🙂", "\x00", "\u2028")
_INSTANTS = st.sampled_from(
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.678901234Z",
        "2024-02-29t23:59:59.5z",
        "2026-12-31T23:59:59+14:00",
        "2026-01-01T00:00:00-99:99",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-12:00",
        "2026-01-02T03:04:05x1Z",
    ]
)
"""Everything that the apiserver takes for `format: date-time`, strange as it is."""


@cache
def schema_of(plural: str) -> Schema:
    """The schema of a kind, from the file that is installed."""
    definition = yaml.safe_load((CRDS / f"armonik.io_{plural}.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


@cache
def objects_of(plural: str, *, status: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a kind as the apiserver would store and send them, but for what CEL forbids."""
    schema = schema_of(plural)
    kind = plural.removesuffix("s").capitalize()
    parts = {"spec": values(schema["properties"]["spec"])}
    if status:
        parts["status"] = st.none() | values(schema["properties"]["status"])

    def whole(drawn: dict[str, Any]) -> dict[str, Any]:
        obj = {"apiVersion": "armonik.io/v1alpha1", "kind": kind, "metadata": drawn.pop("metadata")}
        return obj | {name: value for name, value in drawn.items() if value is not None}

    return st.fixed_dictionaries({"metadata": _metadata(), **parts}).map(whole)


def _metadata() -> st.SearchStrategy[dict[str, Any]]:
    """What every object has; the bounds are Kubernetes' own and those of the rule about names."""
    words = st.dictionaries(st.sampled_from(["a", "armonik.io/parent"]), st.sampled_from(["", "x"]))
    return st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True),
            "namespace": st.just("team"),
            "uid": st.uuids().map(str),
            "resourceVersion": st.integers(1, 2**40).map(str),
            "generation": st.integers(1, 2**40),
            "creationTimestamp": st.just("2026-01-02T03:04:05Z"),
        },
        optional={"labels": words, "annotations": words},
    )


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that this schema accepts."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(-(2**31), 2**31) | st.from_regex(schema["pattern"]).map(str.strip)
    makers: dict[str, Callable[[Schema], st.SearchStrategy[Any]]] = {
        "object": _objects,
        "array": _arrays,
        "string": _texts,
        "integer": _integers,
        "boolean": lambda _: st.booleans(),
    }
    return makers[schema["type"]](schema)


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        most = min(schema.get("maxProperties", _MANY), _MANY)
        keys = st.from_regex("[a-z][a-z./]{0,20}", fullmatch=True) | st.text(_LETTERS, max_size=8)
        return st.dictionaries(
            keys, values(schema.get("additionalProperties", {"type": "string"})), max_size=most
        )
    properties, required = schema["properties"], set(schema.get("required", ()))
    # Fields of their own strategy each, made once: a schema as large as a pod's is walked thousands of times.
    known = {name: st.deferred(lambda part=part: values(part)) for name, part in properties.items()}
    exclusive = [
        (re.findall(r"self\.(\w+)", found[1]), found[2] == "==")
        for rule in schema.get(RULES, ())
        if (found := _ONE.search(rule["rule"]))
    ]

    @st.composite
    def drawn(draw: st.DrawFn) -> dict[str, Any]:
        names = set(required)
        free = sorted(properties.keys() - required)
        if free:
            names |= draw(st.sets(st.sampled_from(free), max_size=4))
        for fields, always in exclusive:
            if draw(st.integers(0, 9)):
                chosen = draw(st.sampled_from(fields))
                keep = always or bool(names.intersection(fields))
                names -= set(fields)
                names |= {chosen} if keep else set()
        return {name: draw(known[name]) for name in sorted(names)}

    return drawn()


def _arrays(schema: Schema) -> st.SearchStrategy[list[Any]]:
    item, least, most = values(schema["items"]), schema.get("minItems", 0), schema.get("maxItems", _MANY)
    kind, unique = schema.get("x-kubernetes-list-type", "atomic"), None
    if kind == "set":
        unique = repr
    if kind == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        unique = lambda entry: tuple(entry.get(key) for key in keys)  # noqa: E731 - used once
    few = st.lists(item, min_size=least, max_size=max(least, min(most, _MANY)), unique_by=unique)
    if kind != "atomic":
        return few
    full = st.tuples(item, st.just(min(most, 1000))).map(lambda pair: [pair[0]] * pair[1])
    return st.one_of(few, few, few, full) if least <= 1 and most <= 100 else few


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        pattern = schema.get("pattern")
        return _INSTANTS.filter(lambda text: pattern is None or re.search(pattern, text) is not None)
    least, most = schema.get("minLength", 0), schema.get("maxLength", _LONG)
    if "pattern" in schema:
        # In the apiserver's expressions `$` is the end of the text; in Python also a newline before it.
        texts = st.from_regex(schema["pattern"].replace("$", r"\Z"))
        return texts.filter(lambda text: least <= len(text) <= most)
    short = st.text(_LETTERS, min_size=least, max_size=min(most, _LONG))
    bound = st.sampled_from(("a", *_UNICODE)).map(lambda letter: letter * most)
    return st.one_of(short, bound)


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    low, high = schema.get("minimum", -_INT64), schema.get("maximum")
    bound = _INT64 if high is None else high
    whole = st.integers(low, bound) | st.sampled_from([low, bound])
    if high is not None:
        return whole
    # The apiserver keeps what is above 64 bits as a number with an exponent; it is an integer nevertheless.
    return whole | st.sampled_from([1e18, 1e21, 1.5e300])


def rules_of(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """All CEL rules: the path that each blames, without indexes, and its message."""
    for rule in schema.get(RULES, ()):
        yield path + rule.get("fieldPath", ""), rule.get("message", "")
    for name, part in schema.get("properties", {}).items():
        yield from rules_of(part, f"{path}.{name}")
    for place in ("items", "additionalProperties"):
        if isinstance(schema.get(place), dict):
            yield from rules_of(schema[place], path)


def forbidden_by_rule(plural: str, field: str, message: str) -> bool:
    """Whether a problem that a model finds is one that a rule of the apiserver finds at the same place."""
    at = re.sub(r"\[\d+\]", "", f".{field}" if field else "")
    return any(
        text and text in message and (f"{at}.".startswith(f"{where}.") or f"{where}.".startswith(f"{at}."))
        for where, text in rules_of(schema_of(plural))
    )
