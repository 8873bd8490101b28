"""Break the live core on purpose: `python -m tests.mutation [--count 150] [--seed N] [ROOM ...]`.

Samples mutants of the rooms (protocol, device and network by default), runs the quick tests on a
copy of `src` with each, and prints those that no test notices, then one JSON line. A mutant that
makes the tests hang is noticed. Stops at `--minutes`.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
ROOMS = ("protocol", "device", "network")
# The cheapest first: a mutant is noticed once.
TESTS = tuple(
    f"tests/{part}" for part in ("device/test_promises.py", "protocol", "network", "device", "api")
)
MARKS = "not (real or processes or slow)"
WORKERS = 2
SLOWER = 5.0  # than without a mutant; what takes longer hangs


def run_tests(source: Path, seconds: float) -> str:
    """`killed`, `hangs` or `survived`: what the tests say of the package in a folder."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-x", "-q", "-m", MARKS),
            *("-p", "no:cacheprovider", "--tb=no", *TESTS),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return "killed" if process.wait(seconds) else "survived"
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main() -> int:
    """Sample, try, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rooms", nargs="*", default=ROOMS, metavar="ROOM")
    parser.add_argument("--count", type=int, default=150, help="how many mutants to try")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--minutes", type=float, default=20.0)
    asked = parser.parse_args()
    package = ROOT / "src" / "dmoa"
    files = [path for room in asked.rooms for path in sorted((package / room).glob("**/*.py"))]
    every = [mutant for path in files for mutant in mutants(path)]
    sample = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dmoa-mutants-") as scratch:
        copies: SimpleQueue[Path] = SimpleQueue()
        for worker in range(WORKERS):
            copy = Path(scratch, str(worker))
            shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
            copies.put(copy)
        if (verdict := run_tests(Path(scratch, "0"), 600.0)) != "survived":
            print(f"the tests fail without a mutant: {verdict}; mend them first", file=sys.stderr)
            return 1
        limit = SLOWER * (time.monotonic() - started)

        def attempt(mutant: Mutant) -> str:
            if time.monotonic() - started > 60 * asked.minutes:
                return "left"
            copy = copies.get()
            path = copy / mutant.path.relative_to(ROOT / "src")
            try:
                path.write_bytes(mutant.source())
                return run_tests(copy, limit)
            finally:
                shutil.copyfile(mutant.path, path)
                copies.put(copy)

        with ThreadPoolExecutor(WORKERS) as pool:
            verdicts = []
            for mutant, verdict in zip(sample, pool.map(attempt, sample), strict=True):
                verdicts.append(verdict)
                if verdict == "survived":
                    print(f"survived  {mutant}".replace(f"{ROOT}/", ""), flush=True)
    tried = len(verdicts) - verdicts.count("left")
    survived = verdicts.count("survived")
    found = {
        "rooms": list(asked.rooms),
        "seed": asked.seed,
        "mutants": len(every),
        "tried": tried,
        "killed": tried - survived,
        "hanging": verdicts.count("hangs"),
        "survived": survived,
        "score": round(1 - survived / tried, 3) if tried else None,
        "seconds": round(time.monotonic() - started),
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
