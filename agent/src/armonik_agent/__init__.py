"""Part of ArmoniK for Kubernetes."""
