"""A grid of processes on this machine, with the worker's own executors; for tests and without a cluster."""
