"""Unit tests depend neither on the clock nor on how they were started."""

import os
import signal
import sys
from pathlib import Path

# Tests are imported by path, not as packages; helpers that several suites share are found here.
sys.path.insert(0, str(Path(__file__).parents[1]))

import hypothesis_profiles  # noqa: F401 - chooses the profile

# The shell, or CI, may have chosen a cluster; a job in the background is started with Ctrl-C ignored.
for _chooses_a_cluster in ("KUBECONTEXT", "KUBECONFIG", "ARMONIK_CLUSTER", "ARMONIK_CLUSTER_DRIVER"):
    os.environ.pop(_chooses_a_cluster, None)
signal.signal(signal.SIGINT, signal.default_int_handler)
