"""Verbs of each noun: session, task, partition, result, env."""
