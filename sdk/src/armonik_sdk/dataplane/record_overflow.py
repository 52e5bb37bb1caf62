"""Records that are too long for the journal: an object, the manifest, holds the rest (rule 15)."""

import logging

from pydantic import ValidationError

from armonik_sdk.api.bounds import MAX_MANIFEST_BYTES, MAX_MESSAGE_BYTES
from armonik_sdk.api.errors import explain
from armonik_sdk.api.keys import confined
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import ChecksumMismatch, ObjectMissing, TooLarge
from armonik_sdk.dataplane.s3.store import ObjectStore

log = logging.getLogger(__name__)

BULKY = ("outcomes", "objects", "attempts", "children")
"""Fields of a record that are in its manifest when the record would be too large."""


async def load_overflow(store: ObjectStore, record: Record) -> Record:
    """The whole record, when it was too large for the journal.

    All but the bulky fields are the record's own: an operator's note keeps the manifest of the record it is
    written on.

    Raises:
        StoreUnavailable, ObjectMissing, ChecksumMismatch: its manifest cannot be read.
    """
    if record.manifest is None:
        return record
    whole = Record.model_validate_json(await store.get(record.manifest))
    return record.model_copy(update={name: getattr(whole, name) for name in BULKY} | {"manifest": None})


async def spill(store: ObjectStore, record: Record, prefix: str, most: int = MAX_MANIFEST_BYTES) -> Record:
    """The record as the journal can hold it: what is too long goes to an object below `prefix` (rule 15).

    Raises:
        StoreUnavailable: its manifest could not be written.
        TooLarge: it is more than `most` bytes with all that it names.
    """
    record = record.model_copy(update={"manifest": None})
    whole = record.encode()
    if len(whole) <= MAX_MESSAGE_BYTES:
        return record
    if len(whole) > most:
        raise TooLarge(f"the record of a run takes {len(whole)} bytes, and at most {most} are taken")
    manifest = await store.put(f"{prefix}/manifest-{record.record_id}", whole)
    return record.model_copy(update=dict.fromkeys(BULKY, ()) | {"manifest": manifest})


async def salvaged(store: ObjectStore, record: Record, run: RunId) -> tuple[Record, bool]:
    """The whole record; or what it says by itself when its manifest is lost, and whether it is.

    Elements that only the manifest knew to have ended then seem not to have. An agent executes them again,
    and RESULTS keeps the first outcome of each. An object outside of the run's Session is taken for lost.

    Raises:
        StoreUnavailable: the object store does not answer.
    """
    record = confined(record, run.namespace, run.session)
    try:
        return confined(await load_overflow(store, record), run.namespace, run.session), False
    except (ObjectMissing, ChecksumMismatch) as error:
        log.warning("a record of task %s, run %d, is lost in part: %s", record.task_name, record.start, error)
    except ValidationError as error:
        log.warning("a record of task %s is lost in part: %s", record.task_name, explain(error))
    return record.model_copy(update={"manifest": None}), True
