"""NATS' accounts: keys, signed claims, what each role may do, credentials files; no I/O."""
