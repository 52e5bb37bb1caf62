"""What the soak saw: counts and violations."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass
class Ledger:
    """Filled by users, checker and adversary; printed at the end."""

    sessions: int = 0
    tasks: int = 0
    elements: int = 0
    events: int = 0
    """Statuses that the checker compared."""
    acts: dict[str, int] = field(default_factory=dict)
    """What the adversary did, how often."""
    violations: list[str] = field(default_factory=list)

    def violated(self, what: str) -> None:
        """Note what must not happen."""
        log.error("VIOLATION %s", what)
        self.violations.append(what)

    def acted(self, what: str) -> None:
        """Note what the adversary did."""
        log.info("adversary: %s", what)
        self.acts[what] = self.acts.get(what, 0) + 1

    def report(self) -> str:
        """Some lines for people."""
        acts = ", ".join(f"{name} {count}" for name, count in sorted(self.acts.items())) or "nothing"
        return "\n".join(
            [
                f"{self.sessions} sessions, {self.tasks} tasks, {self.elements} elements checked",
                f"{self.events} statuses compared with the ones before",
                f"adversary: {acts}",
                f"{len(self.violations)} violations",
                *(f"  {each}" for each in self.violations),
            ]
        )
