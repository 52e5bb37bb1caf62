"""One reconciler for each kind: read the cache, plan, carry the plan out."""
