"""Tests are imported by path, not as packages; helpers beside them are found here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
