"""Access of a client to the apiserver, NATS and the object store."""
