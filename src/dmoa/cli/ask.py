"""`dmoa ask`: one prompt, one answer."""

from typing import Annotated

import typer

from dmoa.cli.options import (
    EarlyStop,
    Fallback,
    How,
    Key,
    MaxTokens,
    Model,
    Node,
    Temperature,
)


def ask(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from stdin.")],
    node: Node = "http://127.0.0.1:8765",
    model: Model = "dmoa",
    system: Annotated[str | None, typer.Option(help="A system message.")] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    key: Key = None,
    method: How = "synthesise",
    early_stop: EarlyStop = False,
    fallback: Fallback = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: answer, dmoa, usage.")
    ] = False,
) -> None:
    """Ask one prompt of a running node; the answer streams to stdout, progress to stderr."""
    import asyncio
    import sys

    from dmoa.cli.options import aggregation, parameters
    from dmoa.cli.output import print_json, read_input, stderr
    from dmoa.client import stream
    from dmoa.errors import DmoaError, UsageError
    from dmoa.report.layers import describe_end, show

    text = read_input() if prompt == "-" else prompt
    if not text.strip():
        raise UsageError('the prompt is empty; write it as in dmoa ask "Why is the sky blue?"')
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    items = stream(
        messages,
        node=node,
        model=model,
        key=key,
        aggregation=aggregation(method, early_stop, fallback),
        **parameters(max_tokens, temperature),
    )

    def write(piece: str) -> None:
        if not json:
            sys.stdout.write(piece)
            sys.stdout.flush()

    reply = asyncio.run(show(items, stderr(), write))
    if reply is None:
        raise DmoaError(f"the node at {node} ended without an answer")
    if json:
        found = {"answer": reply.text, "dmoa": reply.dmoa, "usage": reply.usage}
        print_json(found | ({"reasoning": reply.reasoning} if reply.reasoning else {}))
        return
    sys.stdout.write("\n")
    sys.stdout.flush()
    for note in reply.dmoa.get("notes", []):
        stderr().print(f"note: {note}", markup=False, style="yellow")
    stderr().print(describe_end(reply.dmoa, reply.usage), style="dim", markup=False)
