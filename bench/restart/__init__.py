"""What a restart of the operator costs in time and memory, by what is stored and by what is unfinished."""
