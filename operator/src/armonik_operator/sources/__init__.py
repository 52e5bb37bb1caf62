"""Sources of events that wake reconcilers: watches of the apiserver, the journal, events of pods."""
