"""A bucket and keys for each namespace: on versitygw, on MinIO, or as the user gives them."""
