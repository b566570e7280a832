"""What an operator does to a platform in a cluster, with nothing but a kubeconfig."""
