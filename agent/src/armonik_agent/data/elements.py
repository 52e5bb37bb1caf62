"""What the elements of a run need and owe, read from the queue message."""

from dataclasses import dataclass

from armonik_sdk.api.const import DEFAULT_OUTPUT
from armonik_sdk.api.kinds import TaskOptions
from armonik_sdk.api.kinds.options import merge_options
from armonik_sdk.api.messages import ElementSpec, RunMessage
from armonik_sdk.api.names import result_id
from armonik_sdk.api.records import DataRef

ENVIRONMENT = "environment-"
"""The name of the input that functions import from begins with this; its SHA-256 follows."""
FALLBACK_RETRIES = 3
FALLBACK_DURATION = 86_400
_NOTHING_SPECIAL = ElementSpec()


@dataclass(frozen=True)
class Element:
    """One element, complete."""

    index: int
    task_id: str
    """Id the worker sees."""
    payload_id: str
    inputs: dict[str, DataRef | None]
    """What must lie in the data folder, by id; None as value: the locator is unknown. Payload included."""
    payload_is_result: bool
    """Its id is that of a result, and not made up by the agent."""
    empty_payload: bool
    dependencies: tuple[str, ...]
    outputs: dict[str, str]
    """Names of implied outputs by result id."""
    expected: tuple[str, ...]
    """Ids the worker must produce."""
    options: TaskOptions
    needs: tuple[str, ...] = ()
    """Ids of its dependencies in the order of submission: the Task's, then its own; one may occur twice."""

    @property
    def environment(self) -> str:
        """Name of the input that functions import from; empty when there is none."""
        made = self.options.environment
        return f"{ENVIRONMENT}{made.sha256}" if made is not None else ""

    @property
    def max_retries(self) -> int:
        """Executions beyond the first that may be made."""
        return FALLBACK_RETRIES if self.options.max_retries is None else self.options.max_retries

    @property
    def max_duration(self) -> float:
        """Seconds that one execution may take."""
        return float(self.options.max_duration_seconds or FALLBACK_DURATION)


class Elements:
    """The elements of one run; what they have in common is worked out once."""

    def __init__(self, message: RunMessage) -> None:
        self.message = message
        self._options = merge_options(message.options)
        self._dependencies = tuple(dict.fromkeys(message.dependencies))
        self._needs = tuple(message.dependencies)
        self._outputs = message.outputs or (DEFAULT_OUTPUT,)
        self._elements: dict[int, Element] = {}

    def of(self, index: int) -> Element:
        """The element with this index."""
        if index not in self._elements:
            self._elements[index] = self._make(index)
        return self._elements[index]

    def _make(self, index: int) -> Element:
        message = self.message
        spec = message.elements.get(index, _NOTHING_SPECIAL)
        dependencies, needs = self._dependencies, self._needs
        if spec.dependencies:
            needs = (*needs, *spec.dependencies)
            dependencies = tuple(dict.fromkeys(needs))
        payload_id, payload, empty = self._payload(index, spec)
        inputs = {name: message.locators.get(name) for name in dependencies}
        if not empty:
            inputs[payload_id] = payload
        options = merge_options(spec.options, message.options) if spec.options else self._options
        if (environment := options.environment) is not None:
            place = DataRef(key=environment.object, sha256=environment.sha256)
            inputs[f"{ENVIRONMENT}{environment.sha256}"] = place
        names = spec.outputs
        if names is None:
            names = () if spec.output_ids else self._outputs
        outputs = {result_id(message.task, index, name): name for name in names}
        return Element(
            index=index,
            task_id=message.task if message.single else f"{message.task}.{index}",
            payload_id=payload_id,
            inputs=inputs,
            payload_is_result=bool(spec.payload_id or (spec.payload is None and message.payload_id)),
            empty_payload=empty,
            dependencies=dependencies,
            needs=needs,
            outputs=outputs,
            expected=(*outputs, *(spec.output_ids or ())),
            options=options,
        )

    def _payload(self, index: int, spec: ElementSpec) -> tuple[str, DataRef | None, bool]:
        """Id, place, and whether it is empty; elements that share a payload share its id."""
        locators = self.message.locators
        if spec.payload_id:
            return spec.payload_id, spec.payload or locators.get(spec.payload_id), False
        if spec.payload is not None:
            return f"payload-{self.message.task}-{index}", spec.payload, False
        if self.message.payload_id:
            name = self.message.payload_id
            return name, self.message.payload or locators.get(name), False
        return f"payload-{self.message.task}", self.message.payload, self.message.payload is None
