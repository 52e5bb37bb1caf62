"""The one home of kinds, records, names and constants; imports only pydantic."""
