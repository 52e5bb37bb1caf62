"""Decisions, pure: what is observed in, what shall be done out."""
