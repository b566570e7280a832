"""Knative Eventing: the broker, its triggers, the timer and the changes of objects."""
