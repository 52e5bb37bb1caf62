"""Subjects, keys and identities on the data plane, defined only here.

Everything is keyed by namespace and UID; names are for people, so that a Task deleted and applied again
is a new one. Streams: QUEUE (work queue), JOURNAL (what happened). Buckets: TASKS, CONTROL, RESULTS.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

QUEUE: Final = "QUEUE"
JOURNAL: Final = "JOURNAL"
TASKS: Final = "TASKS"
CONTROL: Final = "CONTROL"
RESULTS: Final = "RESULTS"

ALL_QUEUED: Final = "armonik.queue.>"
"""Every subject of QUEUE."""
ALL_RECORDS: Final = "armonik.journal.>"
"""Every subject of JOURNAL."""
RESULT_RECORDS: Final = "armonik.journal.*.*.result.>"
"""Subjects of JOURNAL on which clients speak of results; they may append to no other."""
CLIENT_API: Final = "armonik.api"
"""Prefix under which clients reach JetStream's API, whose own prefix belongs to the operator's account."""
WORKER_DOWN: Final = "worker-down"
"""Kind of the event by which an agent has its pod replaced."""
WORKER_SILENT: Final = "worker-silent"
"""Kind of the event by which an agent says why it still waits for its worker."""
WORKER_ABOUT: Final = "worker-about"
"""Kind of the event by which an agent reports what its worker is."""
DRAINED: Final = "drained"
"""Kind of the event by which an agent says that it holds nothing any more and takes nothing new."""

BANDS: Final = 10
"""Bands of priority; each has a consumer of its own once something was queued in it."""
_DIGITS: Final = 12
"""Of an index at most: far more than a Task may have elements."""
DEFAULT_BAND: Final = 0
"""The lowest band, priorities 1 to 9, which every Partition has."""


def as_index(text: str) -> int | None:
    """The index that a part of a subject, a key or an id is, if it is one; others may have made the text."""
    return int(text) if len(text) <= _DIGITS and text.isascii() and text.isdigit() else None


def band_of_queue(subject: str) -> int:
    """The band of priority of a queued message, by its subject."""
    return int(subject.split(".")[4])


def band_of(priority: int | None) -> int:
    """Band of a priority: ten of them share one."""
    return min(BANDS - 1, (priority or 0) // BANDS)


class NamespacedName(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str


class TaskRef(NamedTuple):
    """Identity of a Task's data: what the servers have of it is named by these."""

    namespace: str
    session: str
    """UID of the Session."""
    task: str
    """UID of the Task."""

    def run(self, start: int) -> "RunId":
        """The run that begins at an element."""
        return RunId(*self, start)

    @property
    def journal(self) -> str:
        """Filter of all records of the Task."""
        return journal_of_task(*self)

    @property
    def results(self) -> str:
        """Filter of the keys in RESULTS of all its runs."""
        return results_of_task(*self)

    @property
    def queued(self) -> str:
        """Filter of all its queued messages."""
        return queue_of_task(self.namespace, self.task)

    @property
    def inventory(self) -> str:
        """Key of its entry in TASKS."""
        return inventory_key(self.namespace, self.task)


class RunId(NamedTuple):
    """Identity of a run: consecutive elements of one Task that are queued, owned and journaled together."""

    namespace: str
    session: str
    """UID of the Session."""
    task: str
    """UID of the Task."""
    start: int
    """Index of the run's first element."""

    @property
    def journal(self) -> str:
        """Subject of the run's records."""
        return f"armonik.journal.{self.namespace}.{self.session}.{self.task}.{self.start}"

    @property
    def of_task(self) -> TaskRef:
        """The Task's identity."""
        return TaskRef(self.namespace, self.session, self.task)

    @property
    def results(self) -> str:
        """Key of the run's entry in RESULTS."""
        return f"{self.namespace}.{self.session}.{self.task}.{self.start}"

    def queue(self, partition: str, n: int, band: int = DEFAULT_BAND) -> str:
        """Subject of submission number `n`; at most one message may be there."""
        return (
            f"armonik.queue.{self.namespace}.{partition}.{band}.{self.session}.{self.task}.{self.start}.{n}"
        )

    @property
    def queued(self) -> str:
        """Filter that takes exactly the queued messages of the run."""
        return f"armonik.queue.{self.namespace}.*.*.{self.session}.{self.task}.{self.start}.*"

    def objects(self, epoch: int, nonce: str) -> str:
        """Prefix for the objects of one ownership; never used twice, so no object is written twice."""
        return f"{self.namespace}/{self.session}/{self.task}/{self.start}/{epoch}-{nonce}"

    @classmethod
    def from_journal(cls, subject: str) -> Self:
        """Read a journal subject.

        Raises:
            ValueError: not the subject of a run.
        """
        parts = subject.split(".")
        start = as_index(parts[-1])
        if len(parts) != 6 or parts[:2] != ["armonik", "journal"] or start is None:
            raise ValueError(f"{subject!r} is not the journal subject of a run")
        return cls(parts[2], parts[3], parts[4], start)

    @classmethod
    def from_queue(cls, subject: str) -> tuple[Self, int]:
        """Read a queue subject: the run and the submission number.

        Raises:
            ValueError: not a queue subject.
        """
        parts = subject.split(".")
        if len(parts) != 9 or parts[:2] != ["armonik", "queue"]:
            raise ValueError(f"{subject!r} is not a queue subject")
        return cls(parts[2], parts[5], parts[6], int(parts[7])), int(parts[8])


def consumer(namespace: str, partition: str, band: int = DEFAULT_BAND) -> str:
    """Name of the durable consumer that the agents of a Partition pull from."""
    return f"{namespace}_{partition}_{band}"


def consumer_filter(namespace: str, partition: str, band: int = DEFAULT_BAND) -> str:
    """Subjects that this consumer delivers."""
    return f"armonik.queue.{namespace}.{partition}.{band}.>"


def queue_of_task(namespace: str, task: str) -> str:
    """Filter that takes exactly the queued messages of one Task, whatever its partition."""
    return f"armonik.queue.{namespace}.*.*.*.{task}.>"


def queue_of_session(namespace: str, session: str) -> str:
    """Filter that takes exactly the queued messages of one Session, whatever their partition."""
    return f"armonik.queue.{namespace}.*.*.{session}.>"


def journal_of_session(namespace: str, session: str) -> str:
    """Filter that takes exactly the records of one Session."""
    return f"armonik.journal.{namespace}.{session}.>"


def results_of_session(namespace: str, session: str) -> str:
    """Keys in RESULTS of one Session."""
    return f"{namespace}.{session}.>"


def results_of_task(namespace: str, session: str, task: str) -> str:
    """Keys in RESULTS of the runs of one Task."""
    return f"{namespace}.{session}.{task}.*"


def run_before(keys: Iterable[str], index: int) -> int | None:
    """First element of the run that holds an element, by the keys in RESULTS of its Task's runs."""
    starts = (int(key.rsplit(".", 1)[1]) for key in keys)
    return max((start for start in starts if start <= index), default=None)


def bucket_stream(bucket: str) -> str:
    """Stream behind a bucket."""
    return f"KV_{bucket}"


def bucket_subject(bucket: str, key: str) -> str:
    """Subject of a key, or of a pattern of keys, in that stream."""
    return f"$KV.{bucket}.{key}"


def journal_of_task(namespace: str, session: str, task: str) -> str:
    """Filter that takes exactly the records of one Task."""
    return f"armonik.journal.{namespace}.{session}.{task}.>"


def ask_subject(pod: str) -> str:
    """Where the agent of a pod (by UID) answers whether it holds a run."""
    return f"armonik.agent.{pod}"


def event_subject(namespace: str, kind: str) -> str:
    """Where agents report an event to the operator; `kind` is one of those above."""
    return f"armonik.event.{namespace}.{kind}"


def control_key(namespace: str, uid: str) -> str:
    """Key in CONTROL of the desired state of a Session or Task."""
    return f"{namespace}.{uid}"


def pod_key(namespace: str, pod: str) -> str:
    """Key in CONTROL that says that a pod is gone (or shall drain)."""
    return f"{namespace}.pod.{pod}"


def bands_key(namespace: str, partition: str) -> str:
    """Key in CONTROL of the priority bands that a Partition uses."""
    return f"{namespace}.bands.{partition}"


def inventory_key(namespace: str, task: str) -> str:
    """Key in TASKS of one Task that has left traces on the data plane."""
    return f"{namespace}.{task}"


def child_key(namespace: str, name: str) -> str:
    """Key in TASKS that records that a child Task was created; it is never created again."""
    return f"{namespace}.child.{name}"


def result_key(namespace: str, session: str, result: str) -> str:
    """Key in RESULTS of a result that its run does not imply: made by a client or worker, or delegated."""
    return f"{namespace}.{session}.result.{result}"


def run_results_object(key: str, digest: str) -> str:
    """Object that holds what does not fit into the entry of a run under this key of RESULTS."""
    return f"{key.replace('.', '/')}/results-{digest}"


def result_id(task: str, index: int, output: str) -> str:
    """Id of an output of a Task."""
    return f"{task}.{index}.{output}"


def split_result_id(result: str) -> tuple[str, int, str] | None:
    """Task UID, index and output of an implied result; None for a result with an id of its own."""
    parts = result.split(".")
    index = as_index(parts[1]) if len(parts) == 3 else None
    return (parts[0], index, parts[2]) if index is not None else None


def task_payload_key(namespace: str, session: str, task: str, digest: str) -> str:
    """Object with payloads out of a Task's manifest or items, one after the other; `digest` is theirs."""
    return f"{namespace}/{session}/{task}/payloads-{digest[:32]}"


def detail_key(namespace: str, session: str, task: str, life: int) -> str:
    """Object with what is too long for a Task's status, in this life of the journal; it is overwritten."""
    return f"{namespace}/{session}/{task}/detail-{life}"


def message_key(run: RunId, n: int) -> str:
    """Object that holds what does not fit into the queue message of submission `n`."""
    return f"{run.namespace}/{run.session}/{run.task}/{run.start}/message-{n}"


def result_journal(namespace: str, session: str, result: str) -> str:
    """Subject of a client's records of a result."""
    return f"armonik.journal.{namespace}.{session}.result.{result}"


def split_result_journal(subject: str) -> tuple[str, str, str] | None:
    """Namespace, Session's UID and result of such a subject; None for the subject of a run."""
    parts = subject.split(".", 5)
    if len(parts) != 6 or parts[:2] != ["armonik", "journal"] or parts[4] != "result":
        return None
    return parts[2], parts[3], parts[5]


def uploads(namespace: str, session: str) -> str:
    """Prefix of all objects that clients upload as results."""
    return f"{namespace}/{session}/results/"


def upload_key(namespace: str, session: str, result: str, nonce: str) -> str:
    """Object of one upload of a result; never used twice."""
    return f"{uploads(namespace, session)}{result}/{nonce}"


def client_object_key(namespace: str, session: str, nonce: str) -> str:
    """Object that a client uploads before it makes the Task."""
    return f"{namespace}/{session}/client/{nonce}"


def environments(namespace: str) -> str:
    """Prefix of the environments that a namespace keeps for all its Sessions (ADR 32)."""
    return f"{namespace}/env/"


def environment_key(namespace: str, sha256: str) -> str:
    """The one of this SHA-256: the only objects that are named after their content and deleted by clients."""
    return f"{environments(namespace)}{sha256}"


def nothing_key(namespace: str, session: str, result: str) -> str:
    """Key of an object that never exists; it replaces a deleted input of a run that is queued again."""
    return f"{namespace}/{session}/nothing/{result}"


def child_name(parent_name: str, parent_uid: str, start: int, element: int, group: int) -> str:
    """Deterministic name of the child Task of one commit, element and group.

    With 80 bits no two of a million elements share one; with 40 they did in one Task of three.
    """
    digest = hashlib.sha256(f"{parent_uid}/{start}/{element}/{group}".encode()).hexdigest()[:20]
    return f"{parent_name[:40].rstrip('-')}-{digest}"
