"""Functions on the grid, for `async` code; `armonik_sdk` itself has the same names, blocking."""

from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, CancelledError, wait

from armonik_sdk.aio.client import Client, connect
from armonik_sdk.aio.declare import TaskFunction, task
from armonik_sdk.aio.errors import DependencyFailed, ResultMissing, TaskTimeout, WorkerLost
from armonik_sdk.aio.executor import Executor
from armonik_sdk.aio.map_result import MapResult
from armonik_sdk.aio.ref import Ref
from armonik_sdk.aio.results.future import Future
from armonik_sdk.aio.session import Session, Submitter
from armonik_sdk.aio.waiting import Progress, as_completed, gather, progress
from armonik_sdk.api.kinds import PartitionSpec, TaskOptions
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
from armonik_sdk.functions import (
    CodeTooLarge,
    EnvelopeDamaged,
    FunctionsError,
    NotPicklable,
    PackagesNotInstalled,
    PythonMismatch,
    RemoteError,
    VersionMismatch,
)
from armonik_sdk.grid.protocol import ElementInfo, LogLine, PartitionInfo, SessionInfo, TaskInfo
from armonik_sdk.worker.functions import CurrentTask, TaskFuture, TaskMap, current_task

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AlreadyExists",
    "CancelledError",
    "Client",
    "ClientError",
    "CodeTooLarge",
    "CurrentTask",
    "DependencyFailed",
    "ElementInfo",
    "EnvelopeDamaged",
    "Executor",
    "FunctionsError",
    "Future",
    "LogLine",
    "MapResult",
    "NotConnected",
    "NotFound",
    "NotPicklable",
    "PackagesNotInstalled",
    "PartitionInfo",
    "PartitionSpec",
    "Progress",
    "PythonMismatch",
    "Ref",
    "Refused",
    "RemoteError",
    "ResultAborted",
    "ResultDamaged",
    "ResultDeleted",
    "ResultError",
    "ResultMissing",
    "Session",
    "SessionInfo",
    "Submitter",
    "TaskFunction",
    "TaskFuture",
    "TaskInfo",
    "TaskMap",
    "TaskOptions",
    "TaskTimeout",
    "Unavailable",
    "VersionMismatch",
    "WaitTimeout",
    "WorkerLost",
    "as_completed",
    "connect",
    "current_task",
    "gather",
    "progress",
    "task",
    "wait",
]
