"""The operator, one package for each step of a Task."""
