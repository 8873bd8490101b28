"""The four stages of training: read, doubt, combine, refine.

1. read: facts and skills from noisy sources, and aggregation of simulated drafts.
2. doubt: the models sample their own answers and learn to say whether these are right.
3. combine: they aggregate real replies of all four models.
4. refine: the same with replies that were themselves aggregated, as in a second layer.

Each stage starts from the weights that the last one left, samples what it needs from them,
trains, and rounds the weights to half precision, as a checkpoint does: a resumed run
continues exactly where it stopped.
"""

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from dmoa.evaluation.pocketqa import OUTSIDE, answer_of, is_right, is_sure, questions
from dmoa.evaluation.pocketqa.forms import TRAIN
from dmoa.evaluation.pocketqa.world import FACT, MODELS, Question
from training import examples, pools
from training.examples import prompt
from training.model import Ensemble
from training.optimiser import Optimiser
from training.pools import PoolOfExamples, Workshop
from training.sampling import Sampler

TEMPERATURE = 0.7
BATCH_TOKENS = 24_576
"""Tokens of one model in a step."""
_CHUNKS = 16


class Training:
    """One run: the models and what they learn from.

    Args:
        net: the models.
        workshop: makes examples.
        seed: of everything that is drawn.
        scale: factor on all sizes and steps; below 1 for a dry run.
        muon: whether matrices move by Muon.
        log: takes one record a line.
    """

    def __init__(
        self,
        net: Ensemble,
        workshop: Workshop,
        seed: int,
        scale: float,
        muon: bool,
        log: Callable[[dict[str, Any]], None],
    ) -> None:
        self.net = net
        self.pools: dict[str, PoolOfExamples] = {}
        self._workshop = workshop
        self._seed = seed
        self._scale = scale
        self._muon = muon
        self._log = log
        self._generator = torch.Generator(device=net.embedding.device)
        self.sampler = Sampler(net, self._generator)
        self.stages = (self.read, self.doubt, self.combine, self.refine)

    def run(self, stage: int) -> None:
        """One stage, from 1."""
        self._generator.manual_seed(self._seed * 10 + stage)
        started = time.monotonic()
        self.stages[stage - 1]()
        with torch.no_grad():
            for p in self.net.parameters():
                p.copy_(p.half())
        self._log({"stage": stage, "seconds": round(time.monotonic() - started, 1)})
        self.snapshot(stage)

    def read(self) -> None:
        """Stage 1."""
        self._train("read", {"single": 0.77, "simulated": 0.18, "outside": 0.05}, 10_000, 2e-3)

    def doubt(self) -> None:
        """Stage 2."""
        asked = self._questions("doubt", 32_000, real=0.25, made_up=0.2)
        samples = self._samples(asked, 4, to_comma=True)
        self.pools["doubt"] = self._chunked(pools.doubts, asked, samples)
        mix = {"single": 0.3, "doubt": 0.5, "simulated": 0.15, "outside": 0.05}
        self._train("doubt", mix, 1000, 1e-3)

    def combine(self) -> None:
        """Stage 3."""
        asked = self._questions("combine", 56_000, real=0.25, made_up=0.25)
        samples = self._samples(asked, 4)
        readers = pools.outcomes(asked[:8000], samples)
        self._log(
            {"readers": len(readers)}
            | {
                name: round(sum(r == pair for r in readers) / max(1, len(readers)), 3)
                for name, pair in (
                    ("right and sure", (True, True)),
                    ("right, unsure", (True, False)),
                    ("wrong but sure", (False, True)),
                    ("wrong, unsure", (False, False)),
                )
            }
        )
        self.pools["doubt"] = self._chunked(pools.doubts, asked[:24_000], samples)
        self.pools["combine"] = self._chunked(
            pools.combinations, asked, samples, readers, 3, seeded=True
        )
        mix = {"single": 0.27, "doubt": 0.15, "combine": 0.53, "outside": 0.05}
        self._train("combine", mix, 3000, 1e-3, floor=0.1)

    def refine(self) -> None:
        """Stage 4."""
        asked = self._questions("refine", 20_000, real=0.25, made_up=0.25)
        samples = self._samples(asked, 4)
        readers = pools.outcomes(asked, samples)
        self.pools["doubt"] = self._chunked(pools.doubts, asked, samples)
        self.pools["combine"] = self._chunked(
            pools.combinations, asked, samples, readers, 4, seeded=True
        )
        self._second_layer(asked, samples, readers)
        mix = {
            "single": 0.22,
            "doubt": 0.13,
            "combine": 0.3,
            "second": 0.2,
            "late doubt": 0.1,
            "outside": 0.05,
        }
        self._train("refine", mix, 2000, 7e-4)

    def _second_layer(
        self,
        asked: Sequence[tuple[Question, str]],
        samples: list[list[list[str]]],
        readers: Sequence[tuple[bool, bool]],
    ) -> None:
        """Every member of a team answers in the light of its drafts; learn from these answers."""
        rng = random.Random(f"{self._seed} second layer")
        # (owner, question, team, drafts, replies)
        cases: list[tuple[int, int, list[int], list[str], list[str]]] = []
        for m in range(MODELS):
            for i, (question, truth) in enumerate(asked):
                team, said = pools.team_drafts(
                    rng,
                    m,
                    question,
                    truth,
                    [[sample[j][i] for sample in samples] for j in range(MODELS)],
                    readers,
                    rng.random() < 0.35,
                    rng.choice((1, 2, 3, 4, 4)),
                )
                cases.append((m, i, team, said, [""] * len(team)))
        jobs: list[list[tuple[int, int]]] = [[] for _ in range(MODELS)]
        for c, (_, _, team, _, _) in enumerate(cases):
            for slot, j in enumerate(team):
                jobs[j].append((c, slot))
        prompts = [[prompt(asked[cases[c][1]][0].text, cases[c][3]) for c, _ in j] for j in jobs]
        longest = max(map(len, prompts))
        filled = [p + [prompt("Hi.")] * (longest - len(p)) for p in prompts]
        late: list[list[tuple[str, str, bool]]] = [[] for _ in range(MODELS)]
        replies = self.sampler.ask(filled, TEMPERATURE)
        for j in range(MODELS):
            for (c, slot), text, reply in zip(jobs[j], prompts[j], replies[j], strict=False):
                cases[c][4][slot] = reply
                question, truth = asked[cases[c][1]]
                if pools.may_learn(j, question) and len(late[j]) < 60_000 * self._scale + 64:
                    late[j].append((text, answer_of(reply), answer_of(reply) == truth))
        given: list[list[tuple[Question, str, Sequence[str]]]] = [[] for _ in range(MODELS)]
        for m, i, _, _, said in cases:
            if pools.may_learn(m, asked[i][0]):
                given[m].append((*asked[i], said))
        self.pools["second"] = self._workshop.make(
            pools.given,
            [
                (m, (m, f"{self._seed} {n}", part))
                for m in range(MODELS)
                for n, part in _cut(given[m])
            ],
        )
        self.pools["late doubt"] = self._workshop.make(
            pools.late_doubts, [(m, (part,)) for m in range(MODELS) for _, part in _cut(late[m])]
        )

    def _questions(
        self, stage: str, n: int, real: float, made_up: float
    ) -> list[tuple[Question, str]]:
        n = max(64, int(n * self._scale))
        return pools.questions_to_learn(n, f"{self._seed} {stage}", real, made_up)

    def _samples(
        self, asked: Sequence[tuple[Question, str]], n: int, to_comma: bool = False
    ) -> list[list[list[str]]]:
        texts = [prompt(q.text) for q, _ in asked]
        return [self.sampler.ask(texts, TEMPERATURE, to_comma) for _ in range(n)]

    def _chunked(
        self,
        function: Callable[..., Any],
        asked: Sequence[tuple[Question, str]],
        samples: list[list[list[str]]],
        *more: Any,
        seeded: bool = False,
    ) -> PoolOfExamples:
        """A pool made from questions and samples, cut into jobs for the workers."""
        jobs = []
        size = -(-len(asked) // _CHUNKS)
        for m in range(MODELS):
            for at in range(0, len(asked), size):
                part = [[r[at : at + size] for r in sample] for sample in samples]
                seed = (f"{self._seed} {at}",) if seeded else ()
                jobs.append((m, (m, *seed, asked[at : at + size], part, *more)))
        return self._workshop.make(function, jobs)

    def _train(
        self, name: str, mix: dict[str, float], steps: int, rate: float, floor: float = 0.0
    ) -> None:
        """Steps on batches of one pool and one length each, drawn by share of tokens."""
        net, device = self.net, self.net.embedding.device
        steps = max(4, int(steps * self._scale))
        warm = max(1, min(200, steps // 10))
        optimiser = Optimiser(net, self._muon)
        rng = random.Random(f"{self._seed} {name}")
        models = torch.arange(MODELS, device=device)[:, None]
        tokens = BATCH_TOKENS if self._scale == 1 else 1024
        seen: dict[str, list[torch.Tensor]] = {}
        started = time.monotonic()
        for step in range(steps):
            cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            now = rate * min(1, (step + 1) / warm) * (floor + (1 - floor) * cosine)
            chosen = rng.choices(list(mix), list(mix.values()))[0]
            lengths = self.pools[chosen]
            ids, weights = rng.choices(lengths, [t.shape[1] * t.shape[2] for t, _ in lengths])[0]
            batch = max(8, tokens // ids.shape[2] // 8 * 8)
            some = torch.randint(
                ids.shape[1], (MODELS, batch), device=device, generator=self._generator
            )
            losses = net.loss(ids[models, some].long(), weights[models, some].float() / 10)
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step(now)
            if step % 20 == 0:
                seen.setdefault(chosen, []).append(losses.detach().mean())
            if step % max(1, steps // 5) == 0 or step == steps - 1:
                recent = {k: round(torch.stack(v[-8:]).mean().item(), 4) for k, v in seen.items()}
                spent = round(time.monotonic() - started, 1)
                self._log({"train": name, "step": step, "seconds": spent, "loss": recent})

    def snapshot(self, stage: int) -> None:
        """How the models do alone, greedily, by kind of question; not on the test's seed."""
        n = max(16, int(1600 * min(1, self._scale * 10)))
        here = examples.here()
        for split in (TRAIN, "test"):
            asked = questions(n, 98, split, here.seed)
            replies = self.sampler.ask([prompt(q.text) for q in asked], 0.0, to_comma=stage == 1)
            table: dict[str, list[int]] = {}
            for m in range(MODELS):
                for q, reply in zip(asked, replies[m], strict=True):
                    known = examples.knows(m, q)
                    name = ("fact" if q.group == FACT else q.kind) + ("+" if known else "-")
                    cell = table.setdefault(name, [0, 0, 0, 0])
                    right, sure = is_right(reply, q), is_sure(reply)
                    cell[0] += 1
                    cell[1] += right
                    cell[2] += sure
                    cell[3] += sure != right
            shown = {
                name: "/".join(f"{x / c[0]:.2f}" for x in c[1:])
                for name, c in sorted(table.items())
            }
            self._log({"snapshot": stage, "split": split, "right/sure/misjudged": shown})
        strange = [prompt(s) for s in OUTSIDE_CHECK]
        replies = self.sampler.ask(strange, 0.0)
        share = sum(r == OUTSIDE for mine in replies for r in mine) / (MODELS * len(strange))
        self._log({"snapshot": stage, "outside": round(share, 3)})


OUTSIDE_CHECK = (
    "What is the capital of Portugal?",
    "Could you recommend some good science fiction novels?",
    "I have a headache, which pills are safe?",
    "How do vaccines work?",
    "Who painted the Mona Lisa?",
    "Give me directions to the airport.",
    "What's up?",
    "Describe a sunset over the ocean in three sentences.",
    "Which is heavier, a kilogram of feathers or a kilogram of lead?",
    "Write a haiku about autumn leaves.",
    "print('hello')",
    "Why do cats purr?",
)


def _cut(items: Sequence[Any], parts: int = _CHUNKS) -> list[tuple[int, Sequence[Any]]]:
    size = max(1, -(-len(items) // parts))
    return [(at, items[at : at + size]) for at in range(0, len(items), size)]


def save(net: Ensemble, stage: int, folder: Path) -> None:
    """Write a checkpoint: two models a file, in half precision."""
    for half in (0, 1):
        tensors = {k: v[2 * half : 2 * half + 2].half().cpu() for k, v in net.state_dict().items()}
        torch.save({"stage": stage, "tensors": tensors}, folder / f"checkpoint{half}.pt")


def restore(net: Ensemble, folder: Path) -> int:
    """Read a checkpoint if there is one; the last stage that was finished, or 0."""
    files = [folder / f"checkpoint{half}.pt" for half in (0, 1)]
    if not all(f.exists() for f in files):
        return 0
    halves = [torch.load(f, map_location="cpu", weights_only=True) for f in files]
    tensors = {
        k: torch.cat([h["tensors"][k] for h in halves]).float() for k in halves[0]["tensors"]
    }
    net.load_state_dict(tensors)
    return int(halves[0]["stage"])


def write_line(path: Path) -> Callable[[dict[str, Any]], None]:
    """A log of one JSON record a line, shown too."""
    started = time.monotonic()

    def log(record: dict[str, Any]) -> None:
        line = json.dumps({"at": round(time.monotonic() - started, 1)} | record)
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return log
