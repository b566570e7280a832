"""The local engine: what max-cloud uses of Kubernetes and Knative, on one machine."""
