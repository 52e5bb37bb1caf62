"""What each command does once it is connected: read, wait, change, submit, show."""
