"""Benchmarks from the real cluster: `make bench`. What the numbers mean stands in docs/performance.md."""
