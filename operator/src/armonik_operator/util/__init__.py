"""Helpers without knowledge of ArmoniK."""
