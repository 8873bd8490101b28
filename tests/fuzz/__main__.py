"""The long hunt, with fresh examples: `python -m tests.fuzz [EXAMPLES [SEED]]`.

Messages between devices get so many examples, requests and servers half of it each. One JSON line
a hunt.
"""

import asyncio
import json
import random
import sys
import time

from tests.fuzz.messages import hunt_messages
from tests.fuzz.requests import hunt_requests
from tests.fuzz.streams import hunt_streams


def main() -> None:
    """Hunt; a failure is raised with its smallest example."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    first_seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    shares = (
        (hunt_messages, examples),
        (hunt_requests, examples // 2),
        (hunt_streams, examples // 2),
    )
    for hunt, count in shares:
        print(f"{hunt.__name__}: {count} examples, seed {first_seed}", flush=True)
        started = time.monotonic()
        asyncio.run(hunt(examples=count, first_seed=first_seed))
        seconds = round(time.monotonic() - started, 1)
        told = {"hunt": hunt.__name__, "examples": count, "seed": first_seed}
        print(json.dumps({**told, "failures": 0, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
