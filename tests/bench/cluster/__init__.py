"""What needs a real cluster with the platform on it: `make bench-cluster`."""
