"""A cluster as a grid: Sessions and Tasks by the client of bytes."""
