"""The cluster brought to what the rows say, one noun at a time; the function is `reconcile`."""
