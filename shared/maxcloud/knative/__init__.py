"""The way to the cluster: what we write (manifests), what we read (status), and who does both."""
