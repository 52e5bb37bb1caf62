"""Items of many-element Tasks: scanned, listed, cached in bounded memory."""
