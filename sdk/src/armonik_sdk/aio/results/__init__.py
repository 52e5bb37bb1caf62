"""What comes back: futures, results of maps, references, and exceptions."""
