"""How calls are run: what `Session.options` takes, and what becomes of it in a Task."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from armonik_sdk.api.kinds import Application, TaskOptions
from armonik_sdk.functions import Function

APPLICATION: Final = "armonik-functions"
VERSION: Final = "1"
"""Of the way in which functions are called."""
FUNCTION_LABEL: Final = "armonik.io/function"
_NOT_IN_LABELS: Final = re.compile(r"[^A-Za-z0-9]+")
MAX_LABEL: Final = 63
MAX_STEM: Final = 40


@dataclass(frozen=True)
class CallOptions:
    """Options of calls; what is unset comes from the session."""

    partition: str | None = None
    priority: int | None = None
    max_retries: int | None = None
    timeout: float | None = None
    """Seconds of one execution."""
    retry_on: tuple[type[BaseException], ...] = ()
    """Exceptions of the function that are tried again; all others are final."""
    options: tuple[tuple[str, str], ...] = ()
    """Texts for the function, by name."""
    initializer: bytes | None = None
    """Pickle of what each process runs once before it runs functions."""

    @classmethod
    def of(
        cls,
        *,
        partition: str | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        timeout: timedelta | float | None = None,
        retry_on: tuple[type[BaseException], ...] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> "CallOptions":
        """Check what a user gave.

        Raises:
            ValueError, TypeError: a value that cannot be; the message names it.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        if seconds is not None and not seconds > 0:
            raise ValueError(f"timeout: more than 0 seconds, not {seconds}")
        if priority is not None and not 1 <= priority <= 99:
            raise ValueError(f"priority: 1 to 99, not {priority}")
        if max_retries is not None and max_retries < 0:
            raise ValueError(f"max_retries: 0 or more, not {max_retries}")
        for kind in retry_on or ():
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"retry_on: classes of exceptions, not {kind!r}")
        texts = tuple(sorted((options or {}).items()))
        return cls(partition, priority, max_retries, seconds, retry_on or (), texts)

    def over(self, other: "CallOptions") -> "CallOptions":
        """These, and the other ones where these say nothing."""
        return CallOptions(
            self.partition or other.partition,
            self.priority or other.priority,
            other.max_retries if self.max_retries is None else self.max_retries,
            self.timeout or other.timeout,
            self.retry_on or other.retry_on,
            tuple(sorted({**dict(other.options), **dict(self.options)}.items())),
            self.initializer or other.initializer,
        )

    def of_task(self, function: Function) -> TaskOptions:
        """The options of a Task of calls of this function."""
        fields: dict[str, Any] = {
            "application": Application(name=APPLICATION, version=VERSION, service=function.name[-253:]),
        }
        if self.partition:
            fields["partition"] = self.partition
        if self.priority:
            fields["priority"] = self.priority
        if self.max_retries is not None:
            fields["max_retries"] = self.max_retries
        if self.timeout is not None:
            fields["max_duration_seconds"] = math.ceil(self.timeout)
        if self.options:
            fields["options"] = dict(self.options)
        return TaskOptions.model_validate(fields)


NO_OPTIONS: Final = CallOptions()


def short_name(function: Function | str) -> str:
    """The function's own name, for people: `square` of `pkg.mod:square`."""
    name = function if isinstance(function, str) else function.name
    return name.rpartition(":")[2].rpartition(".")[2] or name


def label_of(function: Function) -> str:
    """Value of the label that says what is called."""
    return _NOT_IN_LABELS.sub("-", short_name(function)).strip("-")[:MAX_LABEL].strip("-") or "function"


def stem_of(name: str) -> str:
    """What the names of its Tasks begin with: a DNS label of at most 40 characters."""
    stem = _NOT_IN_LABELS.sub("-", name).strip("-").lower()[:MAX_STEM].strip("-")
    return stem if stem and stem[0].isalpha() else f"f-{stem}".rstrip("-")
