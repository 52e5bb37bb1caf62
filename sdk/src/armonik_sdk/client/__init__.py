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
from armonik_sdk.client.handles import PartitionHandle, ResultHandle, SessionHandle, TaskHandle
from armonik_sdk.client.manifest import Element

__all__ = [
    "AlreadyExists",
    "Application",
    "Client",
    "ClientError",
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
