"""`python -m armonik_sdk.worker module:function`: serve a function of a module."""

import importlib
import os
import sys

from armonik_sdk.worker import serve


def main() -> None:
    """Import what the argument, or else ARMONIK_FUNCTION, names, and serve it."""
    name = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ARMONIK_FUNCTION", "")
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        sys.exit("usage: python -m armonik_sdk.worker module:function (or set ARMONIK_FUNCTION)")
    sys.path.insert(0, "")  # the working directory, also under `python -P`
    serve(getattr(importlib.import_module(module), attribute))


if __name__ == "__main__":
    main()
