"""Writes what was found in the form that was asked for, page by page, to stdout; remarks to stderr."""
