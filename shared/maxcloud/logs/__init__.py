"""What the instances of a service write: found, put in order, and followed."""
