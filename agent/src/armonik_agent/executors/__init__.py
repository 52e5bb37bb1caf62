"""Give elements to a worker, one a call or a run in one call, and report how each ended; know no journal."""
