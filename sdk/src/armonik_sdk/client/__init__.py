"""The Python client: sessions, tasks and results as handles."""
