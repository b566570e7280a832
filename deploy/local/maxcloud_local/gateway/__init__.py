"""Kourier: one port, from a host and a path to an instance and back."""
