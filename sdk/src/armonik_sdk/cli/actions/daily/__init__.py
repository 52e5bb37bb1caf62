"""Verbs for every day: explain, run, logs, top, doctor."""
