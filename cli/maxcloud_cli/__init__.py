"""The `maxcloud` command line: what a person types, over `maxcloud.client`."""

import gc

# Imports make no garbage worth looking for: without this, 10 ms of every command go into it.
gc.set_threshold(100_000)
