"""Kinds, records, messages, names, bounds: the contract; imports only pydantic."""
