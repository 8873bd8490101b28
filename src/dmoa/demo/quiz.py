"""The second act: forty questions, answered by each device alone and by the network.

The LLMs are the pocket LLMs that ship with dmoa. Each knows half of a made-up world, so that
the answers can be counted, and a committee has something to gain. How much of that carries
over to other models is another question: see `docs/quality.md`.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import openai
from rich.console import Console
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dmoa.client import client
from dmoa.evaluation import pocketqa
from dmoa.llm import pocket
from dmoa.node.local import DeviceProcess, LocalNetwork
from dmoa.text import printable

QUESTIONS = 40
SEED = 7
NETWORK = "network, M=1 k=3"


@dataclass
class Score:
    """Right answers so far, and inferences spent."""

    right: int = 0
    asked: int = 0
    tasks: int = 0
    last: str = ""

    def count(self, right: bool, tasks: int, answer: str) -> None:
        """One more question."""
        self.right += right
        self.asked += 1
        self.tasks += tasks
        self.last = answer


@dataclass
class Quiz:
    """The scores, by who answers."""

    scores: dict[str, Score] = field(default_factory=dict)
    question: str = ""

    def render(self) -> Table:
        """A table that grows with the quiz."""
        table = Table(title=self.question, title_justify="left", title_style="dim")
        table.add_column("answered by", min_width=16, no_wrap=True)
        table.add_column("right", justify="right", no_wrap=True)
        table.add_column("", min_width=14, no_wrap=True)
        table.add_column("tasks", justify="right")
        table.add_column("last answer", width=16)
        for name, score in self.scores.items():
            share = score.right / score.asked if score.asked else 0.0
            style = "bold green" if name == NETWORK else ""
            table.add_row(
                name,
                f"{score.right} of {score.asked}",
                "█" * round(14 * share),
                str(score.tasks),
                Text(score.last, no_wrap=True, overflow="ellipsis"),
                style=style,
            )
        return table


async def run(console: Console) -> None:
    """Ask the questions and count."""
    console.print(Rule("[bold]second act[/]: what a committee is good for"))
    console.print(
        f"{QUESTIONS} questions of a made-up world to four tiny LLMs (2.4 million weights each)"
        " that know different halves of it: each device alone, then the network.\n"
    )
    with console.status("starting four devices with pocket LLMs ..."):
        network = LocalNetwork(4, [f"pocket:{name}" for name in pocket.NAMES])
        await network.__aenter__()
    try:
        await _ask_all(console, network.devices)
    finally:
        with console.status("ending the devices ..."):
            await network.__aexit__()
    console.print(
        "\nHere the members know different things and say how sure they are, so the network beats"
        " its best member. Weak members that know the same things do not help each other:"
        " docs/quality.md has both.\n"
    )


async def _ask_all(console: Console, devices: list[DeviceProcess]) -> None:
    quiz = Quiz(
        {f"{d.name} alone ({n})": Score() for d, n in zip(devices, pocket.NAMES, strict=True)}
    )
    alone = list(quiz.scores.values())
    network = quiz.scores[NETWORK] = Score()

    async def one(
        api: openai.AsyncOpenAI, model: str, score: Score, question: pocketqa.Question
    ) -> None:
        answer = await api.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question.text}]
        )
        text = answer.choices[0].message.content or ""
        tree = (answer.model_extra or {})["dmoa"]
        score.count(
            pocketqa.is_right(text, question), tree["tasks"], printable(" ".join(text.split()))
        )

    async with AsyncExitStack() as stack:
        apis = [await stack.enter_async_context(client(d.url, None)) for d in devices]
        live = stack.enter_context(Live(console=console, refresh_per_second=8))
        for i, question in enumerate(pocketqa.questions(QUESTIONS, SEED)):
            quiz.question = f"{i + 1}. {question.text}"
            await asyncio.gather(
                *(
                    one(api, f"pocket:{name}", score, question)
                    for api, name, score in zip(apis, pocket.NAMES, alone, strict=True)
                )
            )
            # A different user asks each time.
            await one(apis[i % len(apis)], "dmoa-m1-k3", network, question)
            live.update(quiz.render())
