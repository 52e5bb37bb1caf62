"""Handles of Sessions, Tasks and Partitions."""
