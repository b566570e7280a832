"""What the cluster has become, written into the rows."""
