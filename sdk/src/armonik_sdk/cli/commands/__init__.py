"""The grammar: each noun and verb with its options; what a command does is imported when it runs."""
