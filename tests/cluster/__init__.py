"""A real Kubernetes with real Knative on this machine, built from packages alone.

`python -m tests.cluster up | down | status`; what other tests may use is in
`environment`. The node lives in namespaces of its own (process ids, mounts,
network), so that ending one process ends all of it and leaves nothing behind.
"""
