"""What this process itself gives work to: ArmoniK for Kubernetes, an Indexed Job, bare servers."""
