"""The RESULTS bucket: cached reads, compare-and-set transitions."""
