"""NATS JetStream: connection, streams, buckets, journal, work queue."""
