"""Benchmarks from the real cluster: `make bench`. What the numbers mean is in docs/performance.md."""
