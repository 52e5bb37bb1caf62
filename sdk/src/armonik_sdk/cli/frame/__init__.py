"""What all commands share: global options, help, kinds of values, questions; imports nothing of the SDK."""
