"""Statuses of objects: phase, conditions, why elements are pending; rate-limited writes."""
