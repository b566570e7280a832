"""Knative Serving: from a Service to its revisions, its traffic, and how many instances run."""
