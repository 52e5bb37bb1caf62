"""Manifests that the apiserver must refuse, each with the field it must name.

Kept beside the test that applies them; a table is easier to read, and to extend, than ninety functions.
"""

from bad_partitions import PARTITIONS
from manifests import NO_SUCH, Bad, session, task

ONE_PAYLOAD = "exactly one of inline, data, object, result"
AT_MOST_ONE = "at most one of count, items, itemsRef"
DNS = "must be a DNS label"

SESSIONS = [
    Bad("no partitions", session({"partitions": ...}), "spec.partitions", "Required value"),
    Bad("empty partitions", session({"partitions": []}), "spec.partitions", "at least 1 items"),
    Bad(
        "33 partitions",
        session({"partitions": [f"p{i}" for i in range(33)], "taskDefaults": {"partition": "p0"}}),
        "spec.partitions",
        "Too many: 33: must have at most 32 items",
    ),
    Bad("same partition twice", session({"partitions": ["a", "a"]}), "spec.partitions[1]", "Duplicate value"),
    Bad("partition in capitals", session({"partitions": ["GPU"]}), "spec.partitions[0]", "should match"),
    Bad("partition of 41 letters", session({"partitions": ["p" * 41]}), "spec.partitions[0]", "Too long"),
    Bad(
        "several partitions, no default",
        session({"partitions": ["a", "b"]}),
        "spec.taskDefaults.partition",
        "required when the session has several partitions",
    ),
    Bad(
        "default outside the partitions",
        session({"taskDefaults": {"partition": "gpu"}}),
        "spec.taskDefaults.partition",
        "must be one of spec.partitions",
    ),
    Bad("dot in the name", session({}, "a.b"), "metadata.name", DNS),
    Bad("64 letters in the name", session({}, "s" * 64), "metadata.name", DNS),
    Bad(
        "unknown state",
        session({"desiredState": "Stopped"}),
        "spec.desiredState",
        'Unsupported value: "Stopped"',
    ),
    Bad("empty state", session({"desiredState": ""}), "spec.desiredState", 'Unsupported value: ""'),
    Bad(
        "unknown submission",
        session({"submission": {"client": "Shut"}}),
        "spec.submission.client",
        'Unsupported value: "Shut"',
    ),
    Bad(
        "submission as a boolean",
        session({"submission": {"worker": False}}),
        "spec.submission.worker",
        "boolean",
    ),
    Bad(
        "negative time to live",
        session({"ttlSecondsAfterFinished": -1}),
        "spec.ttlSecondsAfterFinished",
        "greater than or equal to 0",
    ),
    Bad(
        "time to live with a unit",
        session({"ttlSecondsAfterFinished": "1h"}),
        "spec.ttlSecondsAfterFinished",
        "must be of type integer",
    ),
    Bad(
        "priority 0",
        session({"taskDefaults": {"priority": 0}}),
        "spec.taskDefaults.priority",
        "greater than or",
    ),
    Bad(
        "priority 100",
        session({"taskDefaults": {"priority": 100}}),
        "spec.taskDefaults.priority",
        "less than or",
    ),
    Bad(
        "negative retries",
        session({"taskDefaults": {"maxRetries": -1}}),
        "spec.taskDefaults.maxRetries",
        "greater than or equal to 0",
    ),
    Bad(
        "no time at all",
        session({"taskDefaults": {"maxDurationSeconds": 0}}),
        "spec.taskDefaults.maxDurationSeconds",
        "greater than or equal to 1",
    ),
    Bad("misspelt field", session({"partition": ["a"]}), "spec.partition", NO_SUCH),
    Bad("misspelt option", session({"taskDefaults": {"retries": 1}}), "spec.taskDefaults.retries", NO_SUCH),
]

TASKS = [
    Bad("no session", task({"session": ...}), "spec.session", "Required value"),
    Bad("session in capitals", task({"session": "Demo"}), "spec.session", "should match"),
    Bad("dot in the name", task({}, "a.b"), "metadata.name", DNS),
    Bad("64 letters in the name", task({}, "t" * 64), "metadata.name", DNS),
    Bad("empty payload", task({"payload": {}}), "spec.payload", ONE_PAYLOAD),
    Bad("two payloads", task({"payload": {"inline": "a", "result": "r"}}), "spec.payload", ONE_PAYLOAD),
    Bad(
        "payload of 32,769 letters",
        task({"payload": {"inline": "x" * 32_769}}),
        "spec.payload.inline",
        "Too long: may not be more than 32768",
    ),
    Bad(
        "payload of 32,770 bytes in 16,385 letters",
        task({"payload": {"inline": "é" * 16_385}}),
        "spec.payload.inline",
        "at most 32 KiB in UTF-8",
    ),
    Bad("payload not in base64", task({"payload": {"data": "%%"}}), "spec.payload.data", "should match"),
    Bad("payload as a number", task({"payload": {"inline": 2}}), "spec.payload.inline", "of type string"),
    Bad(
        "object without a key", task({"payload": {"object": {}}}), "spec.payload.object.key", "Required value"
    ),
    Bad(
        "negative offset",
        task({"payload": {"object": {"key": "k", "offset": -1}}}),
        "spec.payload.object.offset",
        "greater than or equal to 0",
    ),
    Bad(
        "checksum that is none",
        task({"payload": {"object": {"key": "k", "sha256": "abc"}}}),
        "spec.payload.object.sha256",
        "should match",
    ),
    Bad(
        "result id with a slash", task({"payload": {"result": "a/b"}}), "spec.payload.result", "should match"
    ),
    Bad("count and items", task({"count": 1, "items": [{}]}), "spec", AT_MOST_ONE),
    Bad(
        "items and itemsRef",
        task({"items": [{}], "itemsRef": {"object": "k", "count": 1}}),
        "spec",
        AT_MOST_ONE,
    ),
    Bad("count 0", task({"count": 0}), "spec.count", "greater than or equal to 1"),
    Bad("count of ten million and one", task({"count": 10_000_001}), "spec.count", "less than or equal to"),
    Bad("count as text", task({"count": "10"}), "spec.count", "must be of type integer"),
    Bad("no items", task({"items": []}), "spec.items", "at least 1 items"),
    Bad("1,001 items", task({"items": [{}] * 1001}), "spec.items", "must have at most 1000 items"),
    Bad(
        "itemsRef without a count",
        task({"itemsRef": {"object": "k"}}),
        "spec.itemsRef.count",
        "Required value",
    ),
    Bad(
        "itemsRef without an object",
        task({"itemsRef": {"count": 1}}),
        "spec.itemsRef.object",
        "Required value",
    ),
    Bad(
        "empty payload of an item",
        task({"items": [{}, {"payload": {}}]}),
        "spec.items[1].payload",
        ONE_PAYLOAD,
    ),
    Bad(
        "two sources in a dependency of an item",
        task({"items": [{"dependsOn": [{"task": "a", "result": "b"}]}]}),
        "spec.items[0].dependsOn[0]",
        "exactly one of task, result",
    ),
    Bad(
        "65 dependencies of an item",
        task({"items": [{"dependsOn": [{"task": f"t{i}"} for i in range(65)]}]}),
        "spec.items[0].dependsOn",
        "must have at most 64 items",
    ),
    Bad(
        "partition of an item",
        task({"items": [{}, {"options": {"partition": "gpu"}}]}),
        "spec.items[1].options",
        "all elements run in the partition of their task: set spec.options.partition",
    ),
    Bad(
        "environment of an item",
        task({"items": [{}, {"options": {"environment": {"object": "ns/s/client/e", "sha256": "0" * 64}}}]}),
        "spec.items[1].options",
        "all elements import from the environment of their task: set spec.options.environment",
    ),
    Bad("empty dependency", task({"dependsOn": [{}]}), "spec.dependsOn[0]", "exactly one of task, result"),
    Bad(
        "output of a result",
        task({"dependsOn": [{"result": "r", "output": "o"}]}),
        "spec.dependsOn[0]",
        "cannot be used with result",
    ),
    Bad(
        "dependency on itself",
        task({"dependsOn": [{"task": "t"}]}),
        "spec.dependsOn",
        "cannot depend on itself",
    ),
    Bad(
        "item that depends on its task",
        task({"items": [{"dependsOn": [{"task": "t"}]}]}),
        "spec.items",
        "cannot depend on itself",
    ),
    Bad(
        "negative index",
        task({"dependsOn": [{"task": "a", "index": -1}]}),
        "spec.dependsOn[0].index",
        "greater than or equal to 0",
    ),
    Bad("same output twice", task({"outputs": ["a", "a"]}), "spec.outputs[1]", "Duplicate value"),
    Bad("output with a slash", task({"outputs": ["a/b"]}), "spec.outputs[0]", "should match"),
    Bad(
        "17 outputs",
        task({"outputs": [f"o{i}" for i in range(17)]}),
        "spec.outputs",
        "must have at most 16 items",
    ),
    Bad("no outputs", task({"outputs": []}), "spec.outputs", "at least 1 items"),
    Bad(
        "priority 100",
        task({"options": {"priority": 100}}),
        "spec.options.priority",
        "less than or equal to 99",
    ),
    Bad(
        "option as a number",
        task({"options": {"options": {"depth": 3}}}),
        "spec.options.options.depth",
        "must be of type string",
    ),
    Bad(
        "65 free options",
        task({"options": {"options": {f"k{i}": "" for i in range(65)}}}),
        "spec.options.options",
        "must have at most 64 items",
    ),
    Bad(
        "unknown state", task({"desiredState": "Paused"}), "spec.desiredState", 'Unsupported value: "Paused"'
    ),
    Bad(
        "cancelled index as a number",
        task({"cancelledIndexes": [0]}),
        "spec.cancelledIndexes[0]",
        "of type string",
    ),
    Bad(
        "cancelled indexes as text", task({"cancelledIndexes": "0"}), "spec.cancelledIndexes", "of type array"
    ),
    Bad(
        "negative cancelled index",
        task({"cancelledIndexes": ["-1"]}),
        "spec.cancelledIndexes[0]",
        "should match",
    ),
    Bad(
        "open interval of cancelled",
        task({"cancelledIndexes": ["1-"]}),
        "spec.cancelledIndexes[0]",
        "should match",
    ),
    Bad(
        "cancelled from high to low",
        task({"count": 5, "cancelledIndexes": ["0", "3-1"]}),
        "spec.cancelledIndexes[1]",
        "from its lower to its higher index",
    ),
    Bad(
        "cancelled index without an element",
        task({"count": 5, "cancelledIndexes": ["5"]}),
        "spec.cancelledIndexes",
        "there is no element with such an index",
    ),
    Bad(
        "same cancelled index twice",
        task({"count": 5, "cancelledIndexes": ["1", "1"]}),
        "spec.cancelledIndexes[1]",
        "Duplicate value",
    ),
    Bad(
        "1,001 intervals of cancelled",
        task({"count": 5000, "cancelledIndexes": [str(i) for i in range(1001)]}),
        "spec.cancelledIndexes",
        "must have at most 1000 items",
    ),
    Bad("misspelt field", task({"dependson": [{"task": "a"}]}), "spec.dependson", NO_SUCH),
    Bad("misspelt field of an item", task({"items": [{"input": "a"}]}), "spec.items[0].input", NO_SUCH),
]

BAD = [*SESSIONS, *TASKS, *PARTITIONS]
