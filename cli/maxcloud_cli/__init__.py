"""The `maxcloud` command line: what a person types, over `maxcloud.client`."""

import gc
import sys

# Imports make no garbage worth looking for: without this, 10 ms of every command go into it.
gc.set_threshold(100_000)

# httpx has a command line of its own and loads it wherever its packages are installed: 30 ms.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
