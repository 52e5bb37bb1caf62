"""The Python client: sessions, tasks and results as handles. Everything public stands in `__all__`."""

from armonik_sdk.api.kinds import (
    Application,
    Dependency,
    Payload,
    SessionState,
    SessionStatus,
    TaskOptions,
    TaskStatus,
)
from armonik_sdk.api.records import ResultState
from armonik_sdk.client.client import Client
from armonik_sdk.client.errors import (
    AlreadyExists,
    ClientError,
    NotConnected,
    NotFound,
    Refused,
    ResultAborted,
    ResultDamaged,
    ResultDeleted,
    ResultError,
    Unavailable,
    WaitTimeout,
)
from armonik_sdk.client.handles import PartitionHandle, SessionHandle, TaskHandle
from armonik_sdk.client.manifest import Element
from armonik_sdk.client.readable import ResultInfo
from armonik_sdk.client.results import ClientResult, ResultHandle

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
