"""What elements wait for: names, readiness, waiters, cycles."""
