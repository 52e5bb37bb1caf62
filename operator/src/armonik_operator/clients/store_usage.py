"""Measures in each sweep how full the streams and buckets are; new work is held back above a bound."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from nats.aio.client import Client

from armonik_operator.settings import size_of
from armonik_sdk.api.const import NATS_PART_ANNOTATIONS
from armonik_sdk.api.errors import explain
from armonik_sdk.api.names import CONTROL, JOURNAL, QUEUE, RESULTS, TASKS, bucket_stream
from armonik_sdk.dataplane.errors import QueueFull
from armonik_sdk.dataplane.nats.streams import SHARES, StoredBytes, account_bytes, stored_bytes

log = logging.getLogger(__name__)

WARN = 0.8
"""Part of its room above which a stream is named in the log, at each measurement."""
RESERVE = {CONTROL: 0.2, JOURNAL: 0.3}
"""Part of the room that is kept: of CONTROL for Sessions and pods, of JOURNAL for commits of running work."""


def rooms(config: Mapping[str, int], store_bytes: int) -> dict[str, int]:
    """Bounds in bytes of the streams and buckets that have one.

    Args:
        config: `max_bytes` of each; 0 or less: it has no bound of its own.
        store_bytes: what NATS may keep in all; 0: unknown. JOURNAL has what is no other's share.
    """
    rest = round(store_bytes * (1 - sum(SHARES.values())))
    found = {name: most for name, most in config.items() if most > 0}
    return {JOURNAL: rest} | found if rest else found


@dataclass(frozen=True)
class PartBounds:
    """What parts of a namespace in NATS may hold before its new work waits."""

    most: Mapping[str, int] = field(default_factory=dict)
    """Bytes by part: journal, queue, results."""
    unusable: str = ""
    """What is wrong with the annotation of one, and how to correct it."""

    @classmethod
    def of(cls, namespace: str, notes: Mapping[str, str], defaults: Mapping[str, str]) -> "PartBounds":
        """From the annotations of a namespace, and the sizes that hold without them; empty: no bound."""
        most: dict[str, int] = {}
        unusable = ""
        for part, annotation in NATS_PART_ANNOTATIONS.items():
            text = str(notes.get(annotation, "")).strip() or defaults.get(part, "")
            try:
                size = size_of(text)
            except ValueError as error:
                unusable = f"annotation {annotation} of namespace {namespace}: {explain(error)}"
            else:
                most |= {part: size} if size else {}
        return cls(most, unusable)

    def reason(self, used: Mapping[str, int]) -> str:
        """Why new work waits; empty if it does not."""
        if self.unusable:
            return self.unusable
        for part, most in self.most.items():
            if used[part] >= most:
                return (
                    f"new work waits: the {part} of this namespace in NATS holds {used[part]:,} of {most:,} "
                    f"bytes; the annotation {NATS_PART_ANNOTATIONS[part]} of the namespace gives it more"
                )
        return ""


_PARTS = {"journal": JOURNAL, "queue": QUEUE, "results": bucket_stream(RESULTS)}
"""Streams by what the bounds of a namespace call them."""


class TotalUse:
    """What the accounts of all namespaces hold together; their limits may be more than NATS may keep."""

    def __init__(self, most: int = 0) -> None:
        """`most`: bytes that NATS may keep; 0: unknown, there is no bound."""
        self.most = most
        self._used: WeakKeyDictionary[StoreUsage, int] = WeakKeyDictionary()

    def note(self, account: "StoreUsage", used: int) -> float:
        """Record what one account holds; returns the filled part of all room, 0 if there is no bound."""
        self._used[account] = used
        return sum(self._used.values()) / self.most if self.most else 0.0


class StoreUsage:
    """The last measurement."""

    def __init__(
        self,
        total: TotalUse | None = None,
        bounds: Callable[[], PartBounds] = PartBounds,
        namespace: str = "",
    ) -> None:
        """Nothing is measured yet.

        Args:
            total: shared by the accounts of one NATS.
            bounds: of the namespace, as they are now.
            namespace: that has the account; empty where namespaces share one.
        """
        self._namespace = namespace
        self._bounds = bounds
        self._of_part = ""
        self._total = total or TotalUse()
        self._together = 0.0
        self._fill: dict[str, float] = {}
        self._account: StoredBytes | None = None
        """Of the namespace's account, where it has one with a limit."""

    async def measure(self, client: Client, store_bytes: int) -> None:
        """Measure the streams and buckets.

        Raises:
            QueueUnavailable: no usable answer.
        """
        streams = {QUEUE: QUEUE, JOURNAL: JOURNAL} | {
            bucket: bucket_stream(bucket) for bucket in (TASKS, CONTROL, RESULTS)
        }
        sizes = {name: await stored_bytes(client, stream) for name, stream in streams.items()}
        most = rooms({name: size.most for name, size in sizes.items()}, store_bytes)
        self.note({name: sizes[name].used / room for name, room in most.items()})

    async def measure_account(self, client: Client) -> None:
        """Measure the account of a namespace: its streams have no bounds of their own, but one together.

        Raises:
            QueueUnavailable: no usable answer.
        """
        account = await account_bytes(client)
        limited = account.most > 0
        self._account = account if limited else None
        part = account.used / account.most if limited else 0.0
        self._together = self._total.note(self, account.used)
        bounds = self._bounds()
        used = dict.fromkeys(_PARTS, 0)
        for each in bounds.most:
            used[each] = (await stored_bytes(client, _PARTS[each])).used
        self._of_part = bounds.reason(used)
        self.note({JOURNAL: max(part, self._together), CONTROL: part})

    def note(self, fill: Mapping[str, float]) -> None:
        """Record the filled share of each."""
        self._fill = dict(fill)
        for name, part in sorted(fill.items()):
            if part >= WARN:
                of, extra = "", {}
                if self._namespace:
                    of, extra = f" of namespace {self._namespace}", {"namespace": self._namespace}
                full = int(100 * part)
                log.warning(
                    "%s%s is %d %% full; see docs/install.md, NATS' store", name, of, full, extra=extra
                )

    def scarce(self, name: str) -> bool:
        """Whether its free room is reserved for writes that cannot wait."""
        return self._fill.get(name, 0.0) > 1 - RESERVE[name]

    @property
    def waits(self) -> bool:
        """Whether new work has to wait."""
        return bool(self._of_part) or self.scarce(JOURNAL)

    def admit(self) -> None:
        """Check that new work may start: each run takes room in the journal until its Task is deleted.

        Raises:
            QueueFull: the free room is reserved for commits of started work, or a part has its bound.
        """
        if self._of_part:
            raise QueueFull(self._of_part)
        if self.scarce(JOURNAL):
            part, kept = int(100 * self.filled(JOURNAL)), int(100 * RESERVE[JOURNAL])
            what = "NATS' journal"
            if self._together >= self.filled(JOURNAL):
                what = f"what NATS may keep of all namespaces ({self._total.most // 1024**2} MiB)"
            elif self._account is not None:
                what = f"what this namespace may keep in NATS ({self._account.most // 1024**2} MiB)"
            raise QueueFull(
                f"new work waits: {what} is {part} % full; its last {kept} % are for work that runs"
            )

    def filled(self, name: str) -> float:
        """Filled share of its room; 0 if unknown."""
        return self._fill.get(name, 0.0)
