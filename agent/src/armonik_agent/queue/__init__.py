"""Queue messages: ownership of their runs, and the slots of the worker."""
