"""The only code of the operator that does I/O."""
