"""The object store: payloads, results, manifests."""
