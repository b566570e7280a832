"""What only a real cluster can show: routes, deliveries, interleaved handlers."""
