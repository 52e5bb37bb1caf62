"""Calls as they are sent: options, encoding, the elements of large maps, code and packages that go along."""
