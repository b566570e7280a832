"""The `maxcloud` command line: what a person types, over `maxcloud.client`."""

import gc
import sys

# More new objects than any command's imports make, for among those is no garbage worth looking for:
# it would take 10 ms.
gc.set_threshold(200_000)

# httpx has a command line of its own and loads it wherever its packages are installed: 30 ms.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
