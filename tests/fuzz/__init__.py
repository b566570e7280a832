"""What no table of cases thinks of: generated requests, fields, manifests and events."""
