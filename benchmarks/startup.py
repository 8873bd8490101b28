"""How long a small `dmoa simulate` takes from the shell, against a trivial cached Numba script.

    python -m benchmarks.startup

Both are run once to fill the caches, then several times in turn; the medians count. CPU time of
the child processes, so that other work on the machine does not count.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPEATS = 7
TRIVIAL = """
import numpy as np
from numba import njit

@njit(cache=True)
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found

print(total(np.ones(10)))
"""
SMALL = (
    "simulate --devices 4 --alpha 1 --layers 2 --proposers 3 --rate 0.08 --prompts 2000"
    " --replications 8 --json"
)
HELP = "--help"


def cpu_seconds(command: list[str]) -> float:
    """CPU time of a finished child."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, and end with one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "trivial.py"
        script.write_text(TRIVIAL)
        dmoa = [sys.executable, "-m", "dmoa"]
        commands = {
            "trivial": [sys.executable, str(script)],
            "simulate": [*dmoa, *SMALL.split()],
            "help": [*dmoa, HELP],
        }
        for command in commands.values():
            cpu_seconds(command)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(REPEATS):
            for name, command in commands.items():
                times[name].append(cpu_seconds(command))
    found = {name: statistics.median(values) for name, values in times.items()}
    print(json.dumps({"benchmark": "startup", **found,
                      "ratio": found["simulate"] / found["trivial"]}))  # fmt: skip


if __name__ == "__main__":
    main()
