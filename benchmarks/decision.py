"""How long a device takes to decide on a plan, by the number of its peers.

    python -m benchmarks.decision

Everybody was examined 60 times; the view is made when an outcome comes in, the decision for every
prompt. Best of several runs, in microseconds. Goal: a decision below 1000 us at 64 peers.
"""

import json
import random
import timeit

from dmoa.policies.plans import Load, choosing, committee
from dmoa.standings.decision import Card, decide, plan_subject, view
from dmoa.standings.outcomes import Outcome, Standings

QUESTIONS = 60
TOPICS = ("units", "dates", "code", "logic")


def measure(peers: int) -> dict[str, float]:
    """Microseconds of a view and of a decision."""
    rng = random.Random(peers)
    cards = {f"d{i}": Card(f"d{i}", f"device {i}", "model") for i in range(peers + 1)}
    known = Standings()
    names = list(cards)
    plans = [committee(1, names[: k + 1], by) for k in (1, 2, 3) for by in ("d0", "d1")]
    plans += [choosing(names[:3], "vote"), choosing(names[:3], "select")]
    subjects = [card.subject for card in cards.values()]
    subjects += [plan_subject(plan, cards) for plan in plans]
    for subject in subjects:
        skill = rng.random()
        for question in range(QUESTIONS):
            right = rng.random() < skill
            known.note(subject, Outcome(question, rng.choice(TOPICS), right, 0.0))
    made = view(known, "d0", cards.values(), 0.0, plans)
    load = Load({name: rng.random() * 10 for name in names})
    view_s = min(timeit.repeat(lambda: view(known, "d0", cards.values(), 0.0, plans), number=1))
    runs = timeit.repeat(lambda: decide(made, topic="units", load=load), number=20, repeat=9)
    return {"view_us": round(1e6 * view_s), "decision_us": round(1e6 * min(runs) / 20, 1)}


def main() -> None:
    """Measure and print."""
    found = {str(peers): measure(peers) for peers in (3, 16, 64, 256)}
    for peers, row in found.items():
        print(f"{peers} peers: decision {row['decision_us']} us, view {row['view_us']} us")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
