"""How property tests choose their examples: the same ones in each run, or new ones to hunt with.

`make test` uses the profile `repeatable`: a failure is about the change at hand, and happens again on every
machine. `make soak` uses `random`, by `--hypothesis-profile`; what failed is kept in `.hypothesis`, and tried
first the next time.
"""

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]

settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("random", derandomize=False, deadline=None, suppress_health_check=_SLOW)
settings.load_profile("repeatable")
