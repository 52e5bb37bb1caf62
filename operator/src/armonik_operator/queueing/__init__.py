"""Puts runs into the journal and the queue: messages, records, submission, cancellation."""
