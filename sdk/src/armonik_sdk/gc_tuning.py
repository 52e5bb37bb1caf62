"""Settings of Python's garbage collector, for operator and agent alike."""

import gc
from typing import Final

YOUNG: Final = 20_000
"""Objects made and not freed until the young ones are looked through; Python's own figure is 700."""
OLDER: Final = (20, 50)
"""Such looks until the middle ones are, and those until all are."""


def tune() -> None:
    """Call it once everything is imported: objects of that time are no longer scanned, the rest seldom.

    Records come by the hundred and stay as long as their Task, so a look finds little and its cost grows with
    what stays: it took a fifth of the operator's CPU time with many elements, a tenth of the agent's. Hardly
    anything here is in a cycle; all else is freed at once, as ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)
