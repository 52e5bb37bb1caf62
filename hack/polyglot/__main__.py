"""`python -m hack.polyglot build node go`: a language whose toolchain is missing is named and left out."""

from __future__ import annotations

import argparse
import sys

from hack.cluster.shell import ClusterError
from hack.polyglot.build import LANGUAGES, PolyglotError, build, lacks, say


def main() -> None:
    """Build what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m hack.polyglot", description=__doc__)
    parser.add_argument("what", choices=["build"])
    parser.add_argument("languages", nargs="+", choices=sorted(LANGUAGES))
    failed = False
    for name in parser.parse_args().languages:
        try:
            build(name)
        except (PolyglotError, ClusterError) as error:
            if lacks(name):
                say(f"{name} is left out: {error}")
            else:
                say(str(error))
                failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
