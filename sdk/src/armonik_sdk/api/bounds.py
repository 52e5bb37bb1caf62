"""Bounds on what is written, in bytes or in entries (protocol rule 15).

Whoever makes something checks its bound. The table in `docs/protocol.md` says what happens above each; a test
compares the two.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# NATS --------------------------------------------------------------------------------------------------
MAX_PAYLOAD_BYTES: Final = MIB
"""What NATS itself must take (`max_payload`). Every bound of a message leaves room for its headers."""
MAX_MESSAGE_BYTES: Final = 256 * KIB
"""Longest queue message, journal record and entry of a bucket; what is longer goes to an object."""
MAX_INVENTORY_BYTES: Final = 960 * KIB
"""Longest entry of TASKS, which holds the pins of a Task."""
MAX_CONTROL_BYTES: Final = KIB
"""Longest entry of CONTROL."""
MAX_RESULT_BYTES: Final = 16 * KIB
"""Longest entry of RESULTS for one result, and longest record that a client appends of one."""
MAX_EVENT_BYTES: Final = 16 * KIB
"""Longest message that is not kept: the question to an owner, its answer, an event of an agent."""
MAX_ERROR_BYTES: Final = 4 * KIB
"""Longest error text in a record."""
MAX_RIDING_BYTES: Final = KIB
"""Largest payload that rides in the queue message (ADR 0005)."""
MAX_PINS: Final = 8_000
"""Most different Tasks that one Task may depend on by name; results by id have no such bound."""
MAX_SUBJECT_BYTES: Final = KIB
"""Longest subject of a message: on one of 4 KiB the server ends the connection."""
MAX_BATCH: Final = 1_000
"""Most messages that the server stores all or none of."""

# Objects -----------------------------------------------------------------------------------------------
MAX_MANIFEST_BYTES: Final = 64 * MIB
"""Longest record of a run with all that it names, also what is in its object."""
MAX_RUN_BYTES: Final = MAX_MANIFEST_BYTES - MIB
"""The same of what an agent appends: the rest is for the operator's notes and last words."""
MAX_ENTRY_OBJECT_BYTES: Final = 2 * MAX_MANIFEST_BYTES
"""Largest object of an entry of RESULTS, which may hold what two lives of the journal say of a run."""
MAX_SPILL_BYTES: Final = 64 * MIB
"""Largest object of a queue message."""
MAX_KEY_BYTES: Final = KIB
"""Longest key of an object, as S3 has it."""
MAX_ITEMS_OBJECT_BYTES: Final = 16 * GIB
"""Largest object of items."""
MAX_LINE_BYTES: Final = 2 * MIB
"""Longest line of an object of items."""
MAX_LINES_BYTES: Final = 48 * MIB
"""Of all sub-tasks of one element. What is longer is an error of the element, which is final."""
MAX_PACKED_BYTES: Final = 64 * KIB
"""Largest output that is packed with others; a longer one is an object of its own."""
MAX_HELD_BYTES: Final = 4 * MIB
"""Small data of one element that is held in memory; then it goes up in an object."""
MAX_NEEDED: Final = 100_000
"""Most results of one dependency: each is named in the message, with its place."""

# Manifests and statuses ----------------------------------------------------------------------------------
MAX_SPEC_BYTES: Final = 128 * KIB
"""Largest Task spec the client sends; above it the items go to an object (`itemsRef`)."""
MAX_INLINE_BYTES: Final = 32 * KIB
"""Largest payload inside a manifest, in bytes; larger ones go to the object store first."""
MAX_ITEM_TEXT: Final = 24 * KIB
"""Longest `inline` of an item in a manifest, in characters. The rule about its bytes is checked for up to
1,000 items, and the apiserver bounds what that may cost. `data` takes all 32 KiB."""
MAX_ITEMS: Final = 1_000
MAX_ELEMENTS: Final = 10_000_000
"""Most elements of one Task."""
MAX_RUN_ELEMENTS: Final = 10_000
"""Most elements of a run that an agent works on; operators cut shorter ones."""
MAX_OUTPUTS: Final = 16
MAX_DEPENDENCIES: Final = 4_096
MAX_ITEM_DEPENDENCIES: Final = 64
MAX_CANCELLED: Final = 1_000
"""Most intervals of elements that a user may cancel in one Task."""
MAX_OPTIONS: Final = 64
"""Most free settings of a Task."""
MAX_OPTION_TEXT: Final = 4_096
"""Longest free setting, in characters."""
MAX_OPTIONS_BYTES: Final = 32 * KIB
"""Of all free settings in force for a Task, names included: each message and status repeats them."""
MAX_LABEL: Final = 63
"""Longest name of a Session, Task or output, in characters."""
MAX_PARTITION_NAME: Final = 40
"""Pod names and queue consumers are built from a Partition's name."""
MAX_RESULT_NAME: Final = 253
"""Longest name of a result that a client makes, in characters."""
MAX_MESSAGE: Final = 1_024
"""Longest message in a condition or failure, in characters."""
MAX_FAILURES: Final = 10
"""Failures that a status describes in words; all failed indexes are in `failedIndexes`."""
MAX_INTERVALS: Final = 16 * KIB
"""Longest interval string in a status, in characters; longer ones spill to `detailRef`."""
MAX_RESULT_INLINE_BYTES: Final = 4 * KIB
"""Largest result shown in a Task's status, in bytes."""

# Between agent and worker --------------------------------------------------------------------------------
DATA_CHUNK_BYTES: Final = 80 * KIB
"""Bytes a message that workers and clients keep to when they send data in pieces."""
MAX_REQUEST_BYTES: Final = 64 * MIB
"""Longest request of a worker to its agent. Longer data goes through the folder."""
MAX_ANSWER_BYTES: Final = 4 * MIB
"""As much as gRPC clients take by default, for a call whose answer carries an error's text at most."""
MAX_CREATED: Final = 50_000
"""Most results, and most sub-tasks, of one execution."""
MAX_FRAME_BYTES: Final = 64 * MIB
"""Longest frame of the call that takes a whole run; either side takes no longer one."""
MAX_ENDED_BYTES: Final = 24 * MIB
"""Longest description of how one element ended, its sub-tasks included. Beyond it the element is an error."""
MAX_BLOB_BYTES: Final = 64 * KIB
"""Longer payloads, dependencies and outputs are files of the folder."""
MAX_BLOBS_BYTES: Final = MIB
"""Of blobs about one element; the rest are files, too, however small."""
MAX_DETAIL_BYTES: Final = 64 * KIB
"""What an element that failed may say beside the text of its error; a longer one is left out."""
MAX_PRINTED_BYTES: Final = MIB
"""Most that can be kept of what one element prints; how much is kept is a setting of the agent."""
MAX_NEEDS: Final = MAX_DEPENDENCIES
"""Most of what one sub-task needs: as much as a Task may depend on."""
