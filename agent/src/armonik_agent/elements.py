"""What one element of a run needs and owes, read from the queue message."""

from dataclasses import dataclass

from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.kinds import ObjectRef, TaskOptions
from armonik_sdk.api.kinds.options import merge_options
from armonik_sdk.api.messages import ElementSpec, RunMessage
from armonik_sdk.api.names import result_id

FALLBACK_RETRIES = 3
FALLBACK_DURATION = 86_400


@dataclass(frozen=True)
class Element:
    """One element, complete."""

    index: int
    task_id: str
    """Id the worker sees."""
    payload_id: str
    inputs: dict[str, ObjectRef | None]
    """What must lie in the data folder, by id; None as value: the locator is unknown. Payload included."""
    empty_payload: bool
    dependencies: tuple[str, ...]
    outputs: dict[str, str]
    """Names of implied outputs by result id."""
    expected: tuple[str, ...]
    """Ids the worker must produce."""
    options: TaskOptions

    @property
    def max_retries(self) -> int:
        """Executions beyond the first that may be made."""
        return FALLBACK_RETRIES if self.options.max_retries is None else self.options.max_retries

    @property
    def max_duration(self) -> float:
        """Seconds that one execution may take."""
        return float(self.options.max_duration_seconds or FALLBACK_DURATION)


def element_of(message: RunMessage, index: int) -> Element:
    """The element `index` of a run."""
    spec = message.elements.get(index, ElementSpec())
    dependencies = tuple(dict.fromkeys((*message.dependencies, *(spec.dependencies or ()))))
    payload_id = spec.payload_id or ("" if spec.payload else message.payload_id)
    payload = (
        spec.payload or (None if spec.payload_id else message.payload) or message.locators.get(payload_id)
    )
    inputs = {name: message.locators.get(name) for name in dependencies}
    empty = payload is None and not payload_id
    payload_id = payload_id or f"payload-{message.task}-{index}"
    if not empty:
        inputs[payload_id] = payload
    names = spec.outputs
    if names is None:
        names = () if spec.output_ids else message.outputs or (DEFAULT_OUTPUT,)
    outputs = {result_id(message.task, index, name): name for name in names}
    return Element(
        index=index,
        task_id=message.task if message.single else f"{message.task}.{index}",
        payload_id=payload_id,
        inputs=inputs,
        empty_payload=empty,
        dependencies=dependencies,
        outputs=outputs,
        expected=(*outputs, *(spec.output_ids or ())),
        options=merge_options(spec.options, message.options),
    )
