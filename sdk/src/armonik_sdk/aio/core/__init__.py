"""What both twins share: calls into Tasks, ends of elements into futures. Runs on one event loop."""
