"""Pure builders of the Kubernetes objects and files that the operator maintains."""
