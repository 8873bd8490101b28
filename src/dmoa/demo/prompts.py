"""The first act: a few devices on this machine answer prompts together.

Everything in it is real: a process per device, their network, an LLM in each, and the OpenAI
API through which the prompts go.
"""

import asyncio
import time
from contextlib import aclosing

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dmoa.client import Completion, Progress, TextPiece, stream
from dmoa.node.local import DeviceProcess, LocalNetwork
from dmoa.report.layers import LayersView
from dmoa.text import printable

# Rounds of prompts; those of one round are asked by different users at the same moment.
ROUNDS = (
    (("dmoa-m1-k2", "Why is the sky blue? Answer in two sentences."),),
    (
        ("dmoa-m1-k2", "Give me three short tips for sleeping well."),
        ("dmoa-m1-k2", "What is the difference between a virus and a bacterium?"),
    ),
    (("dmoa-m2-k3", "Explain in simple words what a queue is and why a long one is bad."),),
)
MAX_TOKENS = 40


class Exchange:
    """One prompt of a device's user, and its answer as it comes."""

    def __init__(self, device: DeviceProcess, model: str, prompt: str) -> None:
        self.owner = device.name
        self.model = model
        self.prompt = prompt
        self.first_token = 0.0
        self.seconds = 0.0
        self._url = device.url
        self._view = LayersView()
        self._text = ""
        self._reply: Completion | None = None

    @property
    def reply(self) -> Completion:
        """The whole answer, once it is there."""
        assert self._reply is not None
        return self._reply

    async def run(self) -> None:
        """Ask, and follow the layers to the last word."""
        started = time.perf_counter()
        items = stream(
            self.prompt,
            node=self._url,
            model=self.model,
            max_tokens=MAX_TOKENS,
            temperature=0.7,
            seed=11,
        )
        async with aclosing(items):
            async for item in items:
                match item:
                    case Progress(event=event):
                        self._view.tell(event)
                    case TextPiece(text=text):
                        self.first_token = self.first_token or time.perf_counter() - started
                        self._text += text
                    case Completion():
                        self._reply = item
        self.seconds = time.perf_counter() - started

    def render(self) -> Group:
        """The question, the layers so far, and the answer so far."""
        asks = Text.from_markup(
            f"[bold cyan]{self.owner}'s user asks[/] [dim]({self.model})[/]: {escape(self.prompt)}"
        )
        parts: list[RenderableType] = [asks, self._view.render()]
        if self._text:
            words = printable(" ".join(self._text.split()))
            parts.append(Text(f"{words} …" if self._is_cut() else words, style="bold"))
        notes = self._reply.dmoa["notes"] if self._reply else []
        parts += [Text(printable(note), style="yellow") for note in notes]
        return Group(*parts, Text())

    def _is_cut(self) -> bool:
        return self._reply is not None and not self._text.rstrip().endswith((".", "!", "?"))


async def run(console: Console, llm: str, devices: int, prompts: list[str], keep: bool) -> None:
    """Run the act.

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
    some = f"{devices} device{'s' if devices > 1 else ''}"
    with console.status(f"starting {some} with {escape(llm)} ..."):
        network = LocalNetwork(devices, llm, arguments)
        await network.__aenter__()
    try:
        names = ", ".join(f"[bold]{device.name}[/]" for device in network.devices)
        console.print(
            f"{some}, each a process with its own user, LLM and queue: {names}. Drafts and answers"
            f" are cut at {MAX_TOKENS} tokens, to keep this short.\n"
        )
        exchanges: list[Exchange] = []
        for asked_now in _rounds(prompts, devices):
            together: list[Exchange] = []
            for model, prompt in asked_now:
                device = network.devices[(len(exchanges) + len(together)) % devices]
                together.append(Exchange(device, model, prompt))
            await _ask(console, together)
            exchanges += together
        console.print(_summary(exchanges))
        if keep:
            _invite(console, network.devices[0])
            await asyncio.Event().wait()
    finally:
        with console.status("ending the devices ..."):
            await network.__aexit__()


def _rounds(own: list[str], devices: int) -> list[tuple[tuple[str, str], ...]]:
    if not own:
        return list(ROUNDS)
    k = min(3, devices - 1)
    return [((f"dmoa-m{2 if k == 3 else 1}-k{k}", prompt),) for prompt in own]


async def _ask(console: Console, together: list[Exchange]) -> None:
    """Ask at the same moment, and show all as they run."""
    with Live(console=console, refresh_per_second=10) as live:
        running = asyncio.gather(*(exchange.run() for exchange in together))
        try:
            while not running.done():
                live.update(Group(*(exchange.render() for exchange in together)))
                await asyncio.wait({running}, timeout=0.1)
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        live.update(Group(*(exchange.render() for exchange in together)))


def _summary(exchanges: list[Exchange]) -> Table:
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
    for one in exchanges:
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
