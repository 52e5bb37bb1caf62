"""What is remembered of a Partition between two looks. No I/O; all of it can be found out again."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from armonik_operator.controllers.pod_warnings import PodWarnings
from armonik_operator.planning import pod_facts as read
from armonik_operator.planning.pod_facts import Pod
from armonik_operator.planning.pod_warnings import Warned
from armonik_sdk.backoff import doubled

YOUNG = 60.0
"""Age in seconds below which a failing pod counts against its Partition."""
BACK_OFF, MAX_BACK_OFF = 2.0, 60.0
"""Seconds between two tries, at most, while new pods crash."""
PATIENCE = 20.0
"""Seconds that an agent without work has to say that it is drained."""
SETTLE = 5.0
"""Seconds that others get to take the room of a pod that went, before another is asked for."""


@dataclass
class PartitionRuntime:
    """Of one Partition. Times are of the monotonic clock."""

    uid: str
    verified: str = ""
    """Hash of the last template that the apiserver accepted."""
    draining: dict[str, float] = field(default_factory=dict)
    """Pods that were asked to drain, by UID, and since when."""
    known: set[str] = field(default_factory=set)
    """Pods whose entry in CONTROL was read."""
    strikes: int = 0
    """Pods that crashed in a row, each soon after its start."""
    retry_at: float = 0.0
    """No pod is created before."""
    looked: float = 0.0
    """Time of the last look."""
    pods_message: str = ""
    """What the Partition said of its pods when its Tasks were woken last."""
    unaware: deque[str] = field(default_factory=deque)
    """Tasks that may still show what it said before."""
    left: list[float] = field(default_factory=list)
    """When pods that were draining went."""
    warnings: PodWarnings = field(default_factory=PodWarnings)
    warned: Mapping[str, Warned] = field(default_factory=dict)
    """Warning events of pods that do not become ready."""

    def accept(self, template: str) -> None:
        """The apiserver accepts pods of this template: what crashed before does not count."""
        self.verified = template
        self.reset_strikes()

    def reset_strikes(self) -> None:
        """A pod works, or the template is new."""
        self.strikes, self.retry_at = 0, 0.0

    def count_strike(self, pod: Pod, wall: datetime, now: float) -> None:
        """A pod is deleted: if it crashed soon after its start, the next one is created later."""
        if not read.crashed(pod):
            return
        self.strikes = self.strikes + 1 if read.age(pod, wall) < YOUNG else 1
        delay = doubled(BACK_OFF, MAX_BACK_OFF, self.strikes - 1) if self.strikes > 1 else 0.0
        self.retry_at = now + delay

    def compare(self, there: Collection[str], now: float) -> None:
        """Forget pods that are not there any more, and note when those went that were draining."""
        self.known &= set(there)
        self.left = [at for at in self.left if now - at < SETTLE]
        self.left += [now for uid in self.draining if uid not in there]
        self.draining = {uid: since for uid, since in self.draining.items() if uid in there}

    def lost(self, owners: Collection[str], now: float) -> frozenset[str]:
        """Draining pods that own nothing and have not said so in time."""
        draining = self.draining.items()
        return frozenset(uid for uid, since in draining if uid not in owners and now - since > PATIENCE)
