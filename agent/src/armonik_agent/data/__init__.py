"""Inputs and sub-tasks in the folder that agent and worker share."""
