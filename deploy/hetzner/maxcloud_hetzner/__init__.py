"""The machines of a cluster at Hetzner: made, mended and removed, as often as one likes."""
