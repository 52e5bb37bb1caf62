"""The agent, one package for each step of a run."""
