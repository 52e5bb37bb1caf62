"""A soak of the real cluster: random users, an adversary, an independent checker, and resource curves."""
