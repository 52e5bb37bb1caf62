"""The grammar of the verbs for every day: explain, run, logs, top, doctor."""
