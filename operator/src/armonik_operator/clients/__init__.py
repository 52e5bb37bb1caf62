"""The apiserver, NATS and the object store: requests, Events, leader election, availability."""
