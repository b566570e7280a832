"""Figures beside those of a peer that took turns with us in the same run.

These machines are noisy: a second is worth little, a ratio a lot. `make bench` measures what needs
no cluster, `make bench-cluster` what needs one; both write docs/performance.md. Nothing here fails
because it is slow: the goals are printed beside the figures.
"""
