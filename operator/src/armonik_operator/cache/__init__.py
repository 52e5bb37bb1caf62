"""In-memory caches of objects, folds and counts; no I/O."""
