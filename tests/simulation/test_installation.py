"""Users and faults in any order: every element ends once, and all records agree.

The number of histories and of their steps is `ARMONIK_SIMULATION_EXAMPLES` and `ARMONIK_SIMULATION_STEPS`;
`make soak` asks for many. In a third as many histories again NATS loses what it had confirmed.
"""

import os

from hypothesis import HealthCheck, Phase, settings

from simulation.machine import Installation

_EXAMPLES = int(os.environ.get("ARMONIK_SIMULATION_EXAMPLES", "60"))
_SETTINGS = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=int(os.environ.get("ARMONIK_SIMULATION_STEPS", "50")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class _Lossy(Installation):
    """As with `sync_interval` other than always: a power cut takes the newest records."""

    LOSSES = True


TestInstallation = Installation.TestCase
TestInstallation.settings = _SETTINGS
TestInstallationThatLosesRecords = _Lossy.TestCase
TestInstallationThatLosesRecords.settings = settings(_SETTINGS, max_examples=max(1, _EXAMPLES // 3))
