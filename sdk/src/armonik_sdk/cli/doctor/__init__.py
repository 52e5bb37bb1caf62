"""What `doctor` makes of what it saw: facts in, findings out; no I/O."""
