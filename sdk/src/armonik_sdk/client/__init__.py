"""The Python client: Sessions, Tasks and results as handles; `__all__` lists what is public.

Each name is imported when it is used first: a program that needs the apiserver alone does not wait for the
libraries of NATS and of the object store.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armonik_sdk.api.kinds import Application as Application
    from armonik_sdk.api.kinds import Dependency as Dependency
    from armonik_sdk.api.kinds import Payload as Payload
    from armonik_sdk.api.kinds import SessionState as SessionState
    from armonik_sdk.api.kinds import SessionStatus as SessionStatus
    from armonik_sdk.api.kinds import TaskOptions as TaskOptions
    from armonik_sdk.api.kinds import TaskStatus as TaskStatus
    from armonik_sdk.api.results import ResultState as ResultState
    from armonik_sdk.client.client import Client as Client
    from armonik_sdk.client.errors import AlreadyExists as AlreadyExists
    from armonik_sdk.client.errors import ClientError as ClientError
    from armonik_sdk.client.errors import NotConnected as NotConnected
    from armonik_sdk.client.errors import NotFound as NotFound
    from armonik_sdk.client.errors import Refused as Refused
    from armonik_sdk.client.errors import ResultAborted as ResultAborted
    from armonik_sdk.client.errors import ResultDamaged as ResultDamaged
    from armonik_sdk.client.errors import ResultDeleted as ResultDeleted
    from armonik_sdk.client.errors import ResultError as ResultError
    from armonik_sdk.client.errors import Unavailable as Unavailable
    from armonik_sdk.client.errors import WaitTimeout as WaitTimeout
    from armonik_sdk.client.handles.partition import PartitionHandle as PartitionHandle
    from armonik_sdk.client.handles.session import SessionHandle as SessionHandle
    from armonik_sdk.client.handles.task import TaskHandle as TaskHandle
    from armonik_sdk.client.manifest import Element as Element
    from armonik_sdk.client.results.base import ResultInfo as ResultInfo
    from armonik_sdk.client.results.client_result import ClientResult as ClientResult
    from armonik_sdk.client.results.output import ResultHandle as ResultHandle

__all__ = [
    "AlreadyExists",
    "Application",
    "Client",
    "ClientError",
    "ClientResult",
    "Dependency",
    "Element",
    "NotConnected",
    "NotFound",
    "PartitionHandle",
    "Payload",
    "Refused",
    "ResultAborted",
    "ResultDamaged",
    "ResultDeleted",
    "ResultError",
    "ResultHandle",
    "ResultInfo",
    "ResultState",
    "SessionHandle",
    "SessionState",
    "SessionStatus",
    "TaskHandle",
    "TaskOptions",
    "TaskStatus",
    "Unavailable",
    "WaitTimeout",
]

_MODULES = {
    "armonik_sdk.api.kinds": (
        "Application",
        "Dependency",
        "Payload",
        "SessionState",
        "SessionStatus",
        "TaskOptions",
        "TaskStatus",
    ),
    "armonik_sdk.api.results": ("ResultState",),
    "armonik_sdk.client.client": ("Client",),
    "armonik_sdk.client.errors": (
        "AlreadyExists",
        "ClientError",
        "NotConnected",
        "NotFound",
        "Refused",
        "ResultAborted",
        "ResultDamaged",
        "ResultDeleted",
        "ResultError",
        "Unavailable",
        "WaitTimeout",
    ),
    "armonik_sdk.client.handles.partition": ("PartitionHandle",),
    "armonik_sdk.client.handles.session": ("SessionHandle",),
    "armonik_sdk.client.handles.task": ("TaskHandle",),
    "armonik_sdk.client.manifest": ("Element",),
    "armonik_sdk.client.results.base": ("ResultInfo",),
    "armonik_sdk.client.results.client_result": ("ClientResult",),
    "armonik_sdk.client.results.output": ("ResultHandle",),
}
"""Names by the module that has them."""
_FROM = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
