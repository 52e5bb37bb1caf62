"""`python -m armonik_sdk.cli`: the same as `armonikctl`."""

import sys

from armonikctl import run

if __name__ == "__main__":
    sys.exit(run())
