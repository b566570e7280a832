"""Run a module that ends at once when the engine dies, even by kill -9: `… lifeline <module>`.

The engine holds the other end of this process's stdin, and writes nothing: when that end closes,
the engine is gone. Imports little, for the module's own start begins here.
"""

import os
import runpy
import sys
import threading


def _end_with_the_engine() -> None:
    while os.read(0, 64):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_engine, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
