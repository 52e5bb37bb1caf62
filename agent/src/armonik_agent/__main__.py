"""`python -m armonik_agent`: handles SIGTERM while the program is still being loaded.

The kernel drops SIGTERM for the first process of a container as long as that has no handler of its own, and
the pod would then live to the end of its grace.
"""

import signal
import sys


def _end(*_: object) -> None:
    sys.exit(0)  # nothing has begun


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    from armonik_agent.main import main

    main()
