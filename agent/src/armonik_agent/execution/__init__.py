"""Runs at the worker: fed, settled, retried, shared, stopped."""
