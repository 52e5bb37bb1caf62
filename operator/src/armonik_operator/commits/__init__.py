"""Applies records of the journal: results and child Tasks first, then the fold."""
