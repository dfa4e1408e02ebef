"""`python -m warehouse_pipelines.simulators`: serves the vendors and prints the settings to use them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading

from warehouse_pipelines.simulators.server import serve_forever


def main() -> None:
    parser = argparse.ArgumentParser(prog="warehouse simulators", description=__doc__)
    parser.add_argument(
        "--contacts", type=int, default=1000, help="contacts in HubSpot; everything else is in proportion"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0, help="of the first vendor, the others follow; 0 takes free ones")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--vendors", help="comma list; default: all that this machine can simulate")
    parser.add_argument("--options", default="{}", help="more arguments of start(), as JSON")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    chosen = parser.parse_args()
    options = {"contacts": chosen.contacts, "seed": chosen.seed, "host": chosen.host, "port": chosen.port}
    if chosen.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    vendors = None if chosen.vendors is None else [name for name in chosen.vendors.split(",") if name]
    serve_forever(vendors, **{**options, **json.loads(chosen.options)})


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
