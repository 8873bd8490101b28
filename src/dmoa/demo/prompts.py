"""The first act: a few devices on this machine answer prompts together.

Everything in it is real: a process per device, their network, an LLM in each, and the OpenAI
API through which the prompts go.
"""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dmoa.client import Progress, Reply, TextPiece, stream
from dmoa.local import DeviceProcess, LocalNetwork
from dmoa.report.layers import LayersView
from dmoa.text import printable

PROMPTS = (
    ("dmoa-m1-k2", "Why is the sky blue? Answer in two sentences."),
    ("dmoa-m1-k2", "Give me three short tips for sleeping well."),
    ("dmoa-m1-k2", "What is the difference between a virus and a bacterium?"),
    ("dmoa-m2-k3", "Explain in simple words what a queue is and why a long one is bad."),
)
MAX_TOKENS = 40


@dataclass
class Asked:
    """One prompt of the demo, and its answer."""

    owner: str
    reply: Reply
    first_token: float
    seconds: float


async def run(console: Console, llm: str, devices: int, prompts: list[str], keep: bool) -> None:
    """Run the demo.

    Args:
        console: where it is shown.
        llm: the LLM of all devices, see `llm.specification`.
        devices: how many.
        prompts: the user's own; by default a few that stand here.
        keep: whether to leave the devices up until Ctrl-C.
    """
    console.print(Rule("[bold]dmoa[/]: one answer from several devices, without a server"))
    # Devices share this machine's processors, so each LLM takes one.
    arguments = ["--threads", "1", "--context", "2048"]
    with console.status(f"starting {devices} devices with {escape(llm)} ..."):
        network = LocalNetwork(devices, llm, arguments)
        await network.__aenter__()
    try:
        names = ", ".join(f"[bold]{device.name}[/]" for device in network.devices)
        console.print(
            f"{devices} devices are up, each a process with its own user, LLM and queue: {names}\n"
        )
        asked = []
        for i, (model, prompt) in enumerate(_chosen(prompts, devices)):
            asked.append(await _ask(console, network.devices[i % devices], model, prompt))
        console.print(_summary(asked))
        if keep:
            _invite(console, network.devices[0])
            await asyncio.Event().wait()
    finally:
        with console.status("ending the devices ..."):
            await network.__aexit__()


def _chosen(own: list[str], devices: int) -> list[tuple[str, str]]:
    if not own:
        return list(PROMPTS)
    k = min(3, devices - 1)
    return [(f"dmoa-m{2 if k == 3 else 1}-k{k}", prompt) for prompt in own]


async def _ask(console: Console, device: DeviceProcess, model: str, prompt: str) -> Asked:
    console.print(f"[bold cyan]{device.name}'s user asks[/] [dim]({model})[/]: {escape(prompt)}")
    view, answer = LayersView(), ""
    started, first_token = time.perf_counter(), 0.0
    items = stream(
        prompt, node=device.url, model=model, max_tokens=MAX_TOKENS, temperature=0.7, seed=11
    )

    def draw() -> Group:
        words = Text(printable(" ".join(answer.split())), style="bold")
        return Group(view.render(), words) if answer else Group(view.render())

    async with aclosing(items):
        with Live(console=console, refresh_per_second=10) as live:
            async for item in items:
                match item:
                    case Progress(event=event):
                        view.tell(event)
                    case TextPiece(text=text):
                        first_token = first_token or time.perf_counter() - started
                        answer += text
                    case Reply():
                        reply = item
                live.update(draw())
    seconds = time.perf_counter() - started
    console.print("\n")
    return Asked(device.name, reply, first_token, seconds)


def _summary(asked: list[Asked]) -> Table:
    table = Table(
        title="What the answers cost",
        caption="tasks: inferences spent, (k+1)M + 1 without faults; wait: the longest time that"
        " one of them stood in a queue",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("user", min_width=4)
    table.add_column("M", justify="right", min_width=1)
    table.add_column("k", justify="right", min_width=1)
    table.add_column("tasks", justify="right", min_width=6)
    table.add_column("latency", justify="right", min_width=7)
    table.add_column("first word", justify="right", min_width=10)
    table.add_column("wait", justify="right", min_width=6)
    table.add_column("tokens", justify="right", min_width=6)
    for one in asked:
        tree = one.reply.dmoa
        inferences = [p for layer in tree["layers"] for p in layer["proposers"]]
        waits = [i["queue_seconds"] or 0.0 for i in [*inferences, *tree["aggregator"]]]
        table.add_row(
            one.owner,
            str(tree["M"]),
            str(tree["k"]),
            str(tree["tasks"]),
            f"{one.seconds:.1f} s",
            f"{one.first_token:.1f} s",
            f"{max(waits):.1f} s",
            str(one.reply.usage.get("total_tokens", "")),
        )
    return table


def _invite(console: Console, device: DeviceProcess) -> None:
    console.print(
        f"\nThe devices stay up until Ctrl-C. Try, in another terminal:\n"
        f'  dmoa ask "Why do cats purr?" --node {device.url} --model dmoa-m1-k3\n'
        f"  dmoa chat --node {device.url}\n"
        f"  dmoa status --node {device.url}\n"
        f"or point any OpenAI client at {device.url}/v1",
        markup=False,
    )
