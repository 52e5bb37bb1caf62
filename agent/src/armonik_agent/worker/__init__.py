"""Both directions of gRPC with the worker."""
