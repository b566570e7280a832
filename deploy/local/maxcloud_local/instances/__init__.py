"""The kubelet: one pod is one process, or one container of Podman or Docker."""
