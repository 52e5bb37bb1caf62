"""Lifecycle: elect a leader, provision; for each tenant connect, replay the journal, run the controllers."""
