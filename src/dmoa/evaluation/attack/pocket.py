"""PocketQA with a deceptive member: pocket LLMs behind the real protocol, in this process."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dmoa.evaluation import pocketqa
from dmoa.evaluation.arena import MemoryArena
from dmoa.evaluation.attack.deceiver import Member, Memory
from dmoa.evaluation.attack.kinds import Attack, Item, with_wrong_answers
from dmoa.evaluation.attack.owner import Reply
from dmoa.evaluation.decided import EXAM_SEED
from dmoa.llm.interface import LLM
from dmoa.policies.plans import Plan, committee
from dmoa.protocol.layer import LayerPolicy
from dmoa.standings.decision import Card

GRACE = 0.15
"""Seconds that a layer waits for the last drafts: the product's 120 s, scaled to LLMs that need
milliseconds."""
POLICY = LayerPolicy(deadline=60.0, quorum=0.75, grace=GRACE)
EXAM_SECONDS = 1.0
"""After which an examination of one LLM has failed, scaled alike."""


@dataclass(frozen=True)
class PocketNetwork:
    """A network of an attack.

    Attributes:
        attack: what its deceptive members do; None if nobody deceives.
        evil: names of their LLMs.
        absent: these members are not there.
    """

    attack: Attack | None
    evil: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As findings call it."""
        if self.attack is not None:
            return self.attack.name
        return "absent" if self.absent else "nobody"


class PocketPlace:
    """A network of pocket LLMs; see `owner.Place`. Close it.

    Args:
        network: who deceives.
        llms: the honest LLMs, by name.
        memory: of their replies.
        items: all questions.
    """

    def __init__(
        self,
        network: PocketNetwork,
        llms: Mapping[str, LLM],
        memory: Memory,
        items: Sequence[Item],
    ) -> None:
        self.network = network
        self.names = [name for name in llms if name not in network.absent]
        known = {item.text: item for item in items}
        self._questions = {(item.exam, item.number): item for item in items}
        copied = next(name for name in llms if name not in network.evil)
        self._members = [
            Member(
                llms[copied if network.attack and network.attack.copies else name],
                memory,
                network.attack,
                known,
                name,
            )
            if name in network.evil
            else Member(llms[name], memory)
            for name in self.names
        ]
        self.cards: dict[str, Card] = {}
        self._arena: MemoryArena | None = None

    async def __aenter__(self) -> "PocketPlace":
        self._arena = arena = await MemoryArena.open(self._members)
        self.cards = {
            device: Card(device, device, name)
            for device, name in zip(arena.names, self.names, strict=True)
        }
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._arena is not None:
            await self._arena.close()

    @property
    def owners(self) -> list[str]:
        """Devices whose users ask: the honest ones."""
        return [d for d, card in self.cards.items() if card.model not in self.network.evil]

    def can(self, plan: Plan) -> bool:
        """See `owner.Place.can`."""
        return True

    def everybody(self, own: str) -> Plan:
        """The paper's committee: M = 1, all other devices, the own LLM aggregates."""
        return committee(1, [own, *(d for d in self.cards if d != own)], own)

    async def carry_out(self, own: str, item: Item, plan: Plan) -> Reply | None:
        """See `owner.Place.carry_out`."""
        assert self._arena is not None
        # The same draw for a question in every network, so that networks differ by their members.
        draw = random.Random(f"{item.text} {sorted(plan.devices)}")
        owner = list(self.cards).index(own)
        deadline = EXAM_SECONDS if item.exam else None
        answered = await self._arena.carry_out(owner, item.text, plan, POLICY, draw, deadline)
        inferences = [*answered.record.inferences()] if answered else []
        if item.exam and any(i.outcome != "answered" for i in inferences):
            return None  # as in the product, one who fails in an examination is not replaced
        if answered is None:
            return None
        layers = answered.record.layers
        drafts = {i.device: i.preview for i in (layers[0].proposers if layers else []) if i.preview}
        return Reply(answered.text, drafts)

    def right(self, item: Item, text: str) -> bool:
        """See `owner.Place.right`."""
        question = pocketqa.Question(item.text, item.answers[0], item.topic, "")
        return pocketqa.is_right(text, question)


def questions(exams: int, asked: int, seed: int) -> tuple[list[Item], list[Item]]:
    """Examination questions, and users' questions."""

    def items(n: int, exam: bool, of: int) -> list[Item]:
        drawn = pocketqa.questions(n, of)
        return with_wrong_answers([(q.text, (q.answer,), q.kind, q.group) for q in drawn], exam, of)

    return items(exams, True, seed + EXAM_SEED), items(asked, False, seed)
