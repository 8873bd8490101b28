"""The two studies: PocketQA through the real protocol, and recorded drafts of real LLMs."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from dmoa.evaluation import pocketqa
from dmoa.evaluation.arena import all_or_none
from dmoa.evaluation.attack.deceiver import Memory
from dmoa.evaluation.attack.findings import Findings, Side, network, sides
from dmoa.evaluation.attack.kinds import Attack, Item
from dmoa.evaluation.attack.pocket import PocketNetwork, PocketPlace, questions
from dmoa.evaluation.attack.recorded import RecordedPlace, items_of, misled
from dmoa.evaluation.devices import pocket_llm
from dmoa.evaluation.intervals import Bootstrap
from dmoa.evaluation.recorded_drafts import read_rows
from dmoa.llm.interface import LLM

Tell = Callable[[float], None]
MEMBER, ACCOMPLICE = "sage", "moss"
"""The LLMs whose devices deceive on PocketQA: the last ones."""


async def attack_pocketqa(
    attacks: Sequence[Attack],
    *,
    exams: int,
    asked: int,
    seed: int,
    tell: Tell,
    llms: Sequence[LLM] | None = None,
) -> Findings:
    """Four devices with the pocket LLMs, one (or two) of which deceive.

    Args:
        attacks: which.
        exams: examination questions a device.
        asked: users' questions; each device's user asks an equal part.
        seed: of the questions and all that is drawn.
        tell: is told the share that is done.
        llms: instead of the pocket LLMs, in the order of their names.
    """
    exam, users = questions(exams, asked, seed)
    names = pocketqa.NAMES
    made = llms or await all_or_none([pocket_llm(name) for name in names])
    by_name = dict(zip(names, made, strict=True))
    memory: Memory = {}
    # Kinds of questions come round, and every owner gets all of them.
    owner = [names[(i + i // pocketqa.PERIOD) % len(names)] for i in range(len(users))]
    mine = {n: [u for u, o in zip(users, owner, strict=True) if o == n] for n in names}
    networks = [PocketNetwork(None), PocketNetwork(None, absent=(MEMBER,))]
    networks += [PocketNetwork(a, (MEMBER, ACCOMPLICE)[: a.members]) for a in attacks]
    found: dict[str, dict[str, Side]] = {}
    try:
        for done, net in enumerate(networks, 1):
            async with PocketPlace(net, by_name, memory, [*exam, *users]) as place:
                found[net.name] = await sides(place, exam, mine, frozenset(net.evil), seed)
            tell(done / len(networks))
    finally:
        for llm in made:
            await llm.close()
    return Findings(
        "pocketqa", seed, exams, MEMBER, "the paper's, M = 1, k = 3, the own LLM aggregates",
        {
            net.name: network(found[net.name], found["nobody"], frozenset(net.evil), seed)
            for net in networks
        },
    )  # fmt: skip


async def attack_recorded(
    paths: Sequence[Path], attacks: Sequence[Attack], *, exams: int, seed: int, tell: Tell
) -> Findings:
    """The recorded models, one a device, and a member (or two) that joins them.

    Args:
        paths: files of recorded drafts.
        attacks: which.
        exams: examination questions a device, at most.
        seed: of all that is drawn.
        tell: is told the share that is done.

    Raises:
        UsageError: see `read_rows`.
    """
    rows = read_rows(paths)
    models = list(rows[0].drafts)
    like = models[len(models) // 2]
    exam = _drawn(items_of(rows, exam=True, seed=seed), exams, seed)
    users = items_of(rows, exam=False, seed=seed)
    places: dict[str, RecordedPlace] = {
        "nobody": RecordedPlace(rows, [*exam, *users], None, like),
        "absent": RecordedPlace(rows, [*exam, *users], None, like, joins=False),
        **{a.name: RecordedPlace(rows, [*exam, *users], a, like) for a in attacks},
    }
    found: dict[str, dict[str, Side]] = {}
    evil = {name: frozenset(p.new if p.attack else []) for name, p in places.items()}
    for done, (name, place) in enumerate(places.items(), 1):
        found[name] = await sides(place, exam, dict.fromkeys(models, users), evil[name], seed)
        tell(done / len(places))
    estimate = {}
    for model in models:
        if both := misled(rows, model):
            bootstrap = Bootstrap(len(both[0]), seed)
            lost = [a - b for a, b in zip(*both, strict=True)]
            named = {"nobody": both[0], "attacked": both[1], "lost": lost}
            estimate[model] = {key: bootstrap.percent(values) for key, values in named.items()}
    return Findings(
        "recorded", seed, len(exam), f"one more, {like} if honest",
        "a vote of all drafts, M = 1, k = 3",
        {name: network(s, found["nobody"], evil[name], seed) for name, s in found.items()},
        estimate,
    )  # fmt: skip


def _drawn(items: Sequence[Item], exams: int, seed: int) -> list[Item]:
    return random.Random(seed).sample(items, min(exams, len(items)))
