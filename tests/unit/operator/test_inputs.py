"""Queue messages keep to their bound, whatever the Task says."""

from types import SimpleNamespace
from typing import Any

import pytest

from armonik_operator.errors import Parked
from armonik_operator.queueing.messages import Inputs, MessageBuilder
from armonik_sdk.api.bounds import MAX_OPTION_TEXT
from armonik_sdk.api.const import Reason
from armonik_sdk.api.kinds import Item, ObjectRef, Task, TaskOptions
from armonik_sdk.api.kinds.options import Environment
from armonik_sdk.api.messages import RunMessage
from armonik_sdk.api.names import RunId
from armonik_sdk.dataplane.errors import ObjectMissing
from armonik_sdk.dataplane.nats.requests import bounded

SHA = "0" * 64
RUN = RunId("n", "s", "t", 0)
TASK = Task.from_object(
    {"metadata": {"name": "t", "namespace": "n", "uid": "t"}, "spec": {"session": "s", "count": 3}}
)


class Store:
    """Keeps what is put."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> ObjectRef:
        self.objects[key] = data
        return ObjectRef(key=key)

    async def stat(self, key: str) -> int:
        if key not in self.objects:
            raise ObjectMissing(key)
        return len(self.objects[key])


def preparer(store: Store) -> MessageBuilder:
    none: Any = None
    return MessageBuilder(SimpleNamespace(objects=store), none, none, none, none)  # type: ignore[arg-type]


async def test_long_options_are_spilled_with_the_rest() -> None:
    store = Store()
    options = TaskOptions(
        partition="p", options={f"o{number}": "é" * MAX_OPTION_TEXT for number in range(64)}
    )
    said = await preparer(store).message(TASK, RUN, (0, 3), 1, options, Inputs())
    assert bounded("it", said)
    assert said.spill is not None
    assert RunMessage.model_validate_json(store.objects[said.spill.key]).options == options


async def test_a_run_that_takes_too_much_to_describe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("armonik_operator.queueing.messages.MAX_SPILL_BYTES", 300_000)
    inputs = Inputs(payload_ids={-1: "x" * 300_000})
    with pytest.raises(Parked, match=r"elements 0 to 2 take 300[0-9]+ bytes to describe"):
        await preparer(Store()).message(TASK, RUN, (0, 3), 1, TaskOptions(partition="p"), inputs)


async def test_settings_of_an_item_that_are_too_many_with_its_tasks_are_refused_with_the_item() -> None:
    own = TaskOptions(partition="p", options={f"a{number}": "x" for number in range(60)})
    inputs = Inputs(items={0: Item(), 1: Item(options=TaskOptions(options={f"b{n}": "x" for n in range(5)}))})
    with pytest.raises(Parked, match=r"item 1: options.options: 65 settings, more than 64"):
        await preparer(Store()).message(TASK, RUN, (0, 2), 1, own, inputs)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("n/s/client/gone", "options.environment: object n/s/client/gone does not exist in the store"),
        ("n/other/client/env", "options.environment.key: "),
        (f"m/env/{SHA}", "options.environment.key: "),
        (f"n/env/{'1' * 64}", f"options.environment: object n/env/{'1' * 64} does not exist in the store"),
    ],
)
async def test_an_environment_that_is_missing_or_anothers_is_refused(key: str, text: str) -> None:
    store = Store()
    await store.put(f"m/env/{SHA}", b"zip")
    await store.put("n/s/client/env", b"zip")
    await store.put("n/other/client/env", b"zip")
    await store.put(f"n/env/{SHA}", b"zip")
    for own in ("n/s/client/env", f"n/env/{SHA}"):
        right = TaskOptions(environment=Environment(object=own, sha256=SHA))
        said = await preparer(store).message(TASK, RUN, (0, 3), 1, right, Inputs())
        assert said.options.environment == right.environment
    wrong = TaskOptions(environment=Environment(object=key, sha256=SHA))
    with pytest.raises(Parked, match=text) as caught:
        await preparer(store).message(TASK, RUN, (0, 3), 1, wrong, Inputs())
    assert caught.value.reason is Reason.PAYLOAD_NOT_FOUND
