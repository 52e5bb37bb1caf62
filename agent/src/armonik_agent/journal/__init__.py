"""The owner's records: successors, compare-and-set, packed and buffered commits."""
