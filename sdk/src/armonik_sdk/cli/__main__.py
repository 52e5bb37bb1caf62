"""`python -m armonik_sdk.cli`: the same as `armonikctl`."""

import sys

from armonik_sdk.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
