"""Rules of the journal, pure: fold, epochs, losses, backlog, successors."""
