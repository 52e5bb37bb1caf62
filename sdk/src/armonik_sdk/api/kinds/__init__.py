"""The three kinds and their parts: the one source of the CRDs."""

from armonik_sdk.api.kinds.base import ApiModel, DnsLabel, OutputName, PartitionName, ResultId
from armonik_sdk.api.kinds.data import Dependency, ObjectRef, Payload
from armonik_sdk.api.kinds.elements import ElementCounts
from armonik_sdk.api.kinds.meta import (
    Condition,
    ObjectMeta,
    OwnerReference,
    Resource,
    condition,
    find_condition,
    is_true,
    remove_condition,
    set_condition,
)
from armonik_sdk.api.kinds.options import Application, TaskOptions, merge_options
from armonik_sdk.api.kinds.partition import Partition, PartitionSpec, PartitionStatus, WorkerInfo
from armonik_sdk.api.kinds.pod import PodTemplate, TemplateMeta, WorkerContainer, WorkerPodSpec
from armonik_sdk.api.kinds.session import (
    Session,
    SessionSpec,
    SessionState,
    SessionStatus,
    Submission,
    SubmissionState,
)
from armonik_sdk.api.kinds.task import Item, ItemsRef, Task, TaskSpec, TaskState
from armonik_sdk.api.kinds.task_status import Failure, TaskParent, TaskResult, TaskStatus, TaskTimes

__all__ = [
    "ApiModel",
    "Application",
    "Condition",
    "Dependency",
    "DnsLabel",
    "ElementCounts",
    "Failure",
    "Item",
    "ItemsRef",
    "ObjectMeta",
    "ObjectRef",
    "OutputName",
    "OwnerReference",
    "Partition",
    "PartitionName",
    "PartitionSpec",
    "PartitionStatus",
    "Payload",
    "PodTemplate",
    "Resource",
    "ResultId",
    "Session",
    "SessionSpec",
    "SessionState",
    "SessionStatus",
    "Submission",
    "SubmissionState",
    "Task",
    "TaskOptions",
    "TaskParent",
    "TaskResult",
    "TaskSpec",
    "TaskState",
    "TaskStatus",
    "TaskTimes",
    "TemplateMeta",
    "WorkerContainer",
    "WorkerInfo",
    "WorkerPodSpec",
    "condition",
    "find_condition",
    "is_true",
    "merge_options",
    "remove_condition",
    "set_condition",
]
