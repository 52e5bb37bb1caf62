"""How far work is, on a terminal, in a notebook, or line by line."""
