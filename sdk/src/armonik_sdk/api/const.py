"""Every name that more than one part must spell alike: group, labels, reasons, finalizers, objects.

Nothing here computes anything; subjects and keys of the data plane live beside the records.
"""

from enum import StrEnum
from typing import Final

API_GROUP: Final = "armonik.io"
"""The API group. One constant, because the domain may have to change."""
API_VERSION: Final = "v1alpha1"
GROUP_VERSION: Final = f"{API_GROUP}/{API_VERSION}"
CATEGORY: Final = "armonik"
"""`kubectl get armonik` lists all three kinds."""

SESSION_KIND: Final = "Session"
SESSION_PLURAL: Final = "sessions"
SESSION_SHORT_NAME: Final = "aks"
TASK_KIND: Final = "Task"
TASK_PLURAL: Final = "tasks"
TASK_SHORT_NAME: Final = "tk"
PARTITION_KIND: Final = "Partition"
PARTITION_PLURAL: Final = "partitions"
PARTITION_SHORT_NAME: Final = "akp"

FIELD_MANAGER: Final = "armonik-operator"
"""Field manager of the operator's writes (server-side apply and status patches)."""

SESSION_FINALIZER: Final = f"{API_GROUP}/session"
"""The only finalizer there is: a Session keeps it until its data is removed."""

# Labels ------------------------------------------------------------------------------------------------
PARTITION_LABEL: Final = f"{API_GROUP}/partition"
"""On pods: name of the Partition that owns them."""
TEMPLATE_HASH_LABEL: Final = f"{API_GROUP}/template-hash"
"""On pods: hash of the Partition template they were made from."""
PARENT_LABEL: Final = f"{API_GROUP}/parent"
"""On child Tasks: UID of the Task whose worker submitted them."""
SESSION_LABEL: Final = f"{API_GROUP}/session"
"""On child Tasks: name of the Session they run in."""
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
PART_OF: Final = "armonik"

# Annotations -------------------------------------------------------------------------------------------
PARENT_RUN_ANNOTATION: Final = f"{API_GROUP}/parent-run"
"""On child Tasks: first index of the run whose commit created them."""
PARENT_INDEX_ANNOTATION: Final = f"{API_GROUP}/parent-index"
"""On child Tasks: element whose execution submitted them."""
PARENT_NAME_ANNOTATION: Final = f"{API_GROUP}/parent-name"
"""On child Tasks: name of the Task whose worker submitted them."""
MAX_ELEMENTS_ANNOTATION: Final = f"{API_GROUP}/max-elements"
"""On namespaces: bound of unfinished elements in it."""
SERVED_ANNOTATION: Final = f"{API_GROUP}/served"
"""On the Secrets of the chart's servers: which content their pods were started with."""

# Objects the operator maintains ------------------------------------------------------------------------
AGENT_SERVICE_ACCOUNT: Final = "armonik-agent"
AGENT_SECRET: Final = "armonik-agent"  # noqa: S105 - the name of a Secret, not its content
CLIENT_SECRET: Final = "armonik-client"  # noqa: S105 - the name of a Secret, not its content
NATS_SECRET: Final = "armonik-nats"  # noqa: S105 - the name of a Secret, not its content
S3_SECRET: Final = "armonik-s3"  # noqa: S105 - the name of a Secret, not its content
SERVICE_CONFIGURATION: Final = "armonik-service-configuration"
"""ConfigMap with limits, defaults and endpoints, in every namespace in use."""

WORKER_CONTAINER: Final = "worker"
AGENT_CONTAINER: Final = "agent"

DEFAULT_OUTPUT: Final = "result"
"""Output of a Task that names none."""

# Limits that schema, client and operator share ---------------------------------------------------------
MAX_INLINE_BYTES: Final = 32 * 1024
"""Largest payload inside a manifest, in bytes; larger ones go to the object store first."""
MAX_RESULT_INLINE_BYTES: Final = 4 * 1024
"""Largest result shown in a Task's status, in bytes."""
MAX_ITEMS: Final = 1_000
MAX_ELEMENTS: Final = 10_000_000
"""Most elements of one Task."""
MAX_OUTPUTS: Final = 16
MAX_DEPENDENCIES: Final = 4_096
MAX_ITEM_DEPENDENCIES: Final = 64
MAX_PINS: Final = 8_000
"""Most different Tasks that one Task may depend on by name; results by id have no such bound."""
MAX_CANCELLED: Final = 1_000
"""Most intervals of elements that a user may cancel in one Task."""
MAX_FAILURES: Final = 10
"""Failures that a status describes in words; all failed indexes stand in `failedIndexes`."""
MAX_MESSAGE: Final = 1_024
"""Longest message in a condition or failure, in characters."""
MAX_INTERVALS: Final = 16 * 1024
"""Longest interval string in a status, in characters; longer ones spill to `detailRef`."""
MAX_SPEC_BYTES: Final = 128 * 1024
"""Largest Task spec the client sends; above it the items go to an object (`itemsRef`)."""
DATA_CHUNK_BYTES: Final = 80 * 1024
"""Bytes a message that workers and clients keep to when they send data in pieces."""
MAX_PARTITION_NAME: Final = 40
"""Pod names and queue consumers are built from a Partition's name."""
MIN_PRIORITY: Final = 1
MAX_PRIORITY: Final = 99


class ConditionType(StrEnum):
    """Types of conditions. The order is the order in which they stand in a status."""

    FINISHED = "Finished"
    DELETING = "Deleting"
    READY = "Ready"
    SUSPENDED = "Suspended"
    WAITING = "Waiting"
    QUEUE_FULL = "QueueFull"
    CHILDREN_BLOCKED = "ChildrenBlocked"


class ConditionStatus(StrEnum):
    """The three answers a condition can give."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons in conditions and Events. Public contract: scripts match on them."""

    # Finished, in the order that decides when elements ended differently
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    SUCCEEDED = "Succeeded"
    CLOSED = "Closed"
    PURGED = "Purged"
    # Ready=True
    ACCEPTED = "Accepted"
    SERVING = "Serving"
    # Ready=False, repaired by creating or changing something
    SESSION_NOT_FOUND = "SessionNotFound"
    SUBMISSION_CLOSED = "SubmissionClosed"
    PARTITION_NOT_FOUND = "PartitionNotFound"
    PARTITION_NOT_IN_SESSION = "PartitionNotInSession"
    DEPENDENCY_NOT_FOUND = "DependencyNotFound"
    DEPENDENCY_INVALID = "DependencyInvalid"
    DEPENDENCY_CYCLE = "DependencyCycle"
    PAYLOAD_NOT_FOUND = "PayloadNotFound"
    QUOTA_EXCEEDED = "QuotaExceeded"
    QUEUE_UNAVAILABLE = "QueueUnavailable"
    QUEUE_FULL = "QueueFull"
    STORE_UNAVAILABLE = "StoreUnavailable"
    # Partition, Ready=False
    TEMPLATE_INVALID = "TemplateInvalid"
    WORKER_CRASH_LOOPING = "WorkerCrashLooping"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    STARTING = "Starting"
    SCALED_TO_ZERO = "ScaledToZero"
    PREEMPTED = "Preempted"
    # Waiting: why elements do not run yet
    WAITING_FOR_DATA = "WaitingForData"
    WAITING_FOR_ROOM = "WaitingForRoom"
    NO_PODS = "NoPods"
    BACK_OFF = "BackOff"
    QUEUED = "Queued"
    # Deleting, Suspended, Waiting
    PAUSED = "Paused"
    CANCELLING_TASKS = "CancellingTasks"
    DELETING_TASKS = "DeletingTasks"
    DELETING_DATA = "DeletingData"


class FailureReason(StrEnum):
    """Why an element ended without success (`status.failures[].reason`)."""

    WORKER_ERROR = "WorkerError"
    """The worker returned an error; not retried."""
    ATTEMPTS_EXHAUSTED = "AttemptsExhausted"
    """Every allowed execution crashed or could not be reached."""
    OUTPUT_MISSING = "OutputMissing"
    """The worker reported success but an expected output was never written."""
    INPUT_MISSING = "InputMissing"
    """A payload or dependency object is not in the store."""
    DEPENDENCY_ABORTED = "DependencyAborted"
    MAX_DURATION_EXCEEDED = "MaxDurationExceeded"
    LEASE_LOST = "LeaseLost"
    """Too many takeovers without a known cause."""
    CANCELLED = "Cancelled"


class SessionPhase(StrEnum):
    """Summary of a Session; may grow, so the schema does not enumerate it."""

    RUNNING = "Running"
    PAUSED = "Paused"
    CLOSED = "Closed"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    PURGED = "Purged"
    DELETING = "Deleting"
    PENDING = "Pending"
    """Not accepted yet; condition Ready says why."""


class TaskPhase(StrEnum):
    """Summary of a Task in ArmoniK's words; may grow, so the schema does not enumerate it."""

    CREATING = "Creating"
    PENDING = "Pending"
    SUBMITTED = "Submitted"
    DISPATCHED = "Dispatched"
    PROCESSING = "Processing"
    PAUSED = "Paused"
    CANCELLING = "Cancelling"
    COMPLETED = "Completed"
    ERROR = "Error"
    TIMEOUT = "Timeout"
    CANCELLED = "Cancelled"
