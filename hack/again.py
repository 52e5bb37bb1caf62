"""Command line: `python -m hack.again [ARGUMENT…]`, pytest whose failed tests run once more, by themselves.

For tests on real servers alone: on a machine with few cores, tests beside each other sometimes wait too long
for a server. What fails twice fails; what passes the second time is named, since it is a weakness of the test
or of the code. More than `FEW` failed tests are no accident, and do not run again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

FEW = 5
_TESTS_FAILED = 1  # pytest's exit status; others say that it could not run, or was interrupted


def main(arguments: Sequence[str]) -> int:
    """Run pytest, and what failed once more.

    Returns:
        The exit status of pytest's last run.
    """
    status = _pytest(*arguments).returncode
    if status != _TESTS_FAILED:
        return status
    once_more = (*arguments, "-n", "0", "--last-failed", "--last-failed-no-failures", "none")
    failed = _failed(once_more)
    if not 0 < len(failed) <= FEW:
        return status
    print(f"== {len(failed)} failed, which run once more by themselves", flush=True)
    status = _pytest(*once_more).returncode
    for name in failed if status == 0 else ():
        print(f"== passed the second time only: {name}", flush=True)
    return status


def _failed(once_more: Sequence[str]) -> list[str]:
    listed = _pytest(*once_more, "--collect-only", "--verbosity=-1", text=True, stdout=subprocess.PIPE)
    return [line for line in listed.stdout.splitlines() if "::" in line]


def _pytest(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False, **options)  # type: ignore[call-overload,no-any-return]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
