"""Pure decisions: state in, plan out."""
