"""What `top` and `task timeline` show: rows, rates between two looks, spans of time; no I/O."""
