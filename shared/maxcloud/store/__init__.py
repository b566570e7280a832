"""What the platform remembers, in PostgreSQL: one noun per module, its SQL beside it."""
