"""Test suites of CPython and joblib, unchanged, against executors of ours; `make test-foreign`."""
