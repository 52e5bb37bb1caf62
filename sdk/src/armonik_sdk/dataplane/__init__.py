"""Shared I/O over NATS JetStream and S3, used by operator, agent and client alike."""
