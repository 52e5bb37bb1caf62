"""Every name that more than one part must spell alike: group, labels, reasons, finalizers, objects.

Nothing here computes anything; subjects and keys of the data plane live beside the records.
"""

from enum import StrEnum
from typing import Final

from armonik_sdk.api.bounds import DATA_CHUNK_BYTES as DATA_CHUNK_BYTES
from armonik_sdk.api.bounds import MAX_CANCELLED as MAX_CANCELLED
from armonik_sdk.api.bounds import MAX_DEPENDENCIES as MAX_DEPENDENCIES
from armonik_sdk.api.bounds import MAX_ELEMENTS as MAX_ELEMENTS
from armonik_sdk.api.bounds import MAX_FAILURES as MAX_FAILURES
from armonik_sdk.api.bounds import MAX_INLINE_BYTES as MAX_INLINE_BYTES
from armonik_sdk.api.bounds import MAX_INTERVALS as MAX_INTERVALS
from armonik_sdk.api.bounds import MAX_ITEM_DEPENDENCIES as MAX_ITEM_DEPENDENCIES
from armonik_sdk.api.bounds import MAX_ITEM_TEXT as MAX_ITEM_TEXT
from armonik_sdk.api.bounds import MAX_ITEMS as MAX_ITEMS
from armonik_sdk.api.bounds import MAX_MESSAGE as MAX_MESSAGE
from armonik_sdk.api.bounds import MAX_OUTPUTS as MAX_OUTPUTS
from armonik_sdk.api.bounds import MAX_PARTITION_NAME as MAX_PARTITION_NAME
from armonik_sdk.api.bounds import MAX_PINS as MAX_PINS
from armonik_sdk.api.bounds import MAX_RESULT_INLINE_BYTES as MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.bounds import MAX_RESULT_NAME as MAX_RESULT_NAME
from armonik_sdk.api.bounds import MAX_SPEC_BYTES as MAX_SPEC_BYTES

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
NATS_STORE_ANNOTATION: Final = f"{API_GROUP}/nats-store"
"""On a Namespace: what its account on NATS may keep on disk, as `400MB`."""
NATS_PART_ANNOTATIONS: Final = {part: f"{API_GROUP}/nats-{part}" for part in ("journal", "queue", "results")}
"""On a Namespace: bytes above which the part of it in NATS lets no new work in."""
NATS_CREDENTIALS_ANNOTATION: Final = f"{API_GROUP}/nats-credentials"
"""On a Namespace: a number; a higher one revokes the credentials files of its agents and clients."""
ROTATE_ANNOTATION: Final = f"{API_GROUP}/rotate-signing-key"
"""On the Secret of NATS: the operator replaces the key that signs accounts at its next start."""
SERVED_ANNOTATION: Final = f"{API_GROUP}/served"
"""On the Secrets of the chart's servers: which content their pods were started with."""

# Objects the operator maintains ------------------------------------------------------------------------
AGENT_SERVICE_ACCOUNT: Final = "armonik-agent"
AGENT_SECRET: Final = "armonik-agent"  # noqa: S105 - the name of a Secret, not its content
CLIENT_SECRET: Final = "armonik-client"  # noqa: S105 - the name of a Secret, not its content
NATS_SECRET: Final = "armonik-nats"  # noqa: S105 - the name of a Secret, not its content
S3_SECRET: Final = "armonik-s3"  # noqa: S105 - the name of a Secret, not its content
CA_SECRET: Final = "armonik-ca"  # noqa: S105 - the name of a Secret, not its content
TLS_SECRETS: Final = {"nats": "armonik-nats-tls", "s3": "armonik-s3-tls"}
"""Secrets with the certificates of the chart's servers."""
SERVICE_CONFIGURATION: Final = "armonik-service-configuration"
"""ConfigMap with limits, defaults and endpoints, in every namespace in use."""

WORKER_CONTAINER: Final = "worker"
AGENT_CONTAINER: Final = "agent"

DEFAULT_OUTPUT: Final = "result"
"""Output of a Task that names none."""
PRINTED_BYTES: Final = 64 * 1024
"""Kept of what an element prints, where nobody says otherwise."""
LEAST_PRINTED_BYTES: Final = 1024
"""Least that can be kept of what an element prints, if anything is: some lines at both ends."""
ERROR_OUTPUT: Final = "error"
"""Name under which the detail of an element that failed is read; it counts as no output."""

# Limits that schema, client and operator share; bounds on lengths are in `bounds` -------------
MIN_PRIORITY: Final = 1
MAX_PRIORITY: Final = 99


class ConditionType(StrEnum):
    """Types of conditions. The order is their order in a status."""

    FINISHED = "Finished"
    DELETING = "Deleting"
    READY = "Ready"
    SUSPENDED = "Suspended"
    WAITING = "Waiting"
    QUEUE_FULL = "QueueFull"
    CHILDREN_BLOCKED = "ChildrenBlocked"
    CHILDREN_REFUSED = "ChildrenRefused"
    ISOLATED = "Isolated"


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
    SUB_TASK_INVALID = "SubTaskInvalid"
    PAYLOAD_NOT_FOUND = "PayloadNotFound"
    MANIFEST_INVALID = "ManifestInvalid"
    QUOTA_EXCEEDED = "QuotaExceeded"
    QUEUE_UNAVAILABLE = "QueueUnavailable"
    QUEUE_FULL = "QueueFull"
    STORE_UNAVAILABLE = "StoreUnavailable"
    DATA_INVALID = "DataInvalid"
    # Partition, Ready=False
    TEMPLATE_INVALID = "TemplateInvalid"
    WORKER_CRASH_LOOPING = "WorkerCrashLooping"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    POD_START_FAILED = "PodStartFailed"
    UNSCHEDULABLE = "Unschedulable"
    STARTING = "Starting"
    SCALED_TO_ZERO = "ScaledToZero"
    PREEMPTED = "Preempted"
    # Partition, Isolated=False
    SHARED = "Shared"
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
    INPUT_TOO_LARGE = "InputTooLarge"
    """Payload and dependencies together are larger than an agent's room for them."""
    DEPENDENCY_ABORTED = "DependencyAborted"
    MAX_DURATION_EXCEEDED = "MaxDurationExceeded"
    LEASE_LOST = "LeaseLost"
    """Too many takeovers without a known cause."""
    DATA_LOST = "DataLost"
    """How it ended is not known: its record, or the object that held it, cannot be read any more."""
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
