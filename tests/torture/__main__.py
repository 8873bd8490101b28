"""Torture the network: `python -m tests.torture [KIND ...] [--seconds 60] [--seed N]`.

Without `--seed` the schedules are fresh ones. Every kind prints its first seed, whatever fails,
and one JSON line last; the exit status is 1 when something failed. `--seconds 0` runs the
schedule of one seed.
"""

import argparse
import importlib
import json
import pkgutil
import secrets
import sys
from pathlib import Path


def main() -> int:
    """Run the kinds that are asked for, all by default."""
    here = Path(__file__).parent
    kinds = [m.name for m in pkgutil.iter_modules([str(here)]) if not m.name.startswith("_")]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(kinds)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each kind, about")
    parser.add_argument("--seed", type=int, help="of the first schedule; by default a fresh one")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.kinds) - set(kinds)):
        parser.error(f"there is no kind {unknown[0]!r}; there are {', '.join(kinds)}")
    failed = False
    for kind in asked.kinds or kinds:
        seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
        print(f"{kind}: schedules from seed {seed} on", flush=True)
        found = importlib.import_module(f"tests.torture.{kind}").torture(seed, asked.seconds)
        print(json.dumps({"torture": kind, "seed": seed, **found}), flush=True)
        failed |= bool(found["failed"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
