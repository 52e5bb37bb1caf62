"""Processes that run the function: started by fork, one element at a time, their output read."""
