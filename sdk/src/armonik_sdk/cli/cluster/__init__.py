"""The cluster as commands use it: requests with a time limit, lists in pages, changes as they come."""
