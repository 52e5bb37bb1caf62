"""Task options, one type at every level, and how levels are merged."""

from typing import Annotated, Any

from pydantic import Field

from armonik_sdk.api.bounds import MAX_OPTION_TEXT, MAX_OPTIONS, MAX_OPTIONS_BYTES
from armonik_sdk.api.const import MAX_PRIORITY, MIN_PRIORITY
from armonik_sdk.api.kinds.base import ApiModel, ObjectKey, PartitionName, Sha256

_Text = Annotated[str, Field(max_length=253)]
_Setting = Annotated[str, Field(max_length=MAX_OPTION_TEXT)]


class Application(ApiModel):
    """Which code of the worker should run; passed on to it unread."""

    name: _Text | None = None
    """Name of the application."""
    version: _Text | None = None
    """Version of the application."""
    namespace: _Text | None = None
    """Namespace of the service inside the application."""
    service: _Text | None = None
    """Service inside the application."""


class Environment(ApiModel):
    """Packages and source files that functions need: a ZIP archive in the object store."""

    object: ObjectKey
    """Key of the archive: below `<namespace>/<UID of the session>/`, or `<namespace>/env/<sha256>`."""
    sha256: Sha256
    """SHA-256 of the archive in lower-case hexadecimal."""


class TaskOptions(ApiModel):
    """How a task is run. An unset field is inherited; zero is a value.

    Inherited from item to task to session to the service's configuration.
    """

    partition: PartitionName | None = None
    """Partition whose workers run the task; must be one of the session's."""
    priority: Annotated[int, Field(ge=MIN_PRIORITY, le=MAX_PRIORITY)] | None = None
    """1 to 99; higher runs first."""
    max_retries: Annotated[int, Field(ge=0, le=1000)] | None = None
    """How often an element whose execution crashed is run again. An error returned by the worker is final."""
    max_duration_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """Longest time of one execution, in seconds. An element that takes longer ends as Timeout."""
    application: Application | None = None
    """Which code of the worker should run. Its fields are inherited one by one."""
    engine_type: _Text | None = None
    """Engine of the worker, for workers that have several."""
    options: (
        Annotated[dict[str, Annotated[str, Field(max_length=MAX_OPTION_TEXT)]], Field(max_length=MAX_OPTIONS)]
        | None
    ) = None
    """Free settings for the worker. Inherited key by key."""
    environment: Environment | None = None
    """What workers of functions import from. One for all elements of a task."""


def merge_options(*layers: TaskOptions | None) -> TaskOptions:
    """Merge option layers, the most specific first: item, task, session, service configuration.

    A field that is unset (or None) inherits from the next layer; `application` and `options` are merged
    key by key. The result has only the fields that some layer set.
    """
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        for name, value in _fields_set(layer).items():
            inherited = merged.get(name)
            merged[name] = {**inherited, **value} if isinstance(inherited, dict) else value
    return TaskOptions.model_validate(merged)


def too_many_settings(*layers: TaskOptions | None) -> str:
    """Why the free settings of these layers cannot be merged: each layer fits, and all together do not."""
    merged: dict[str, str] = {}
    for layer in reversed(layers):
        merged |= (layer.options if layer is not None else None) or {}
    if len(merged) > MAX_OPTIONS:
        return f"{len(merged)} settings, more than {MAX_OPTIONS}, with those that are inherited; remove some"
    size = sum(len(name.encode()) + len(text.encode()) for name, text in merged.items())
    if size > MAX_OPTIONS_BYTES:
        return f"{size} bytes, more than {MAX_OPTIONS_BYTES}, with those that are inherited; shorten them"
    return ""


def _fields_set(layer: TaskOptions | None) -> dict[str, Any]:
    return layer.model_dump(exclude_unset=True, exclude_none=True) if layer is not None else {}
