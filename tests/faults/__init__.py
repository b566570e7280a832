"""Nothing lost: one fault each, then rows, cluster and what clients were told are compared."""
