"""Removes data whose owner is gone."""
