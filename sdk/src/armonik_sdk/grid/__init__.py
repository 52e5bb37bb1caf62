"""Grids that run functions: the same few calls for a cluster and for processes of this machine."""
