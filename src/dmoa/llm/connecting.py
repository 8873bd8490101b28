"""Finding a server at an address, waiting for it, and choosing one of its models."""

import asyncio
from collections.abc import Callable

import msgspec

from dmoa.errors import LLMBroken, LLMUnavailable, UsageError
from dmoa.llm.choosing import Model, candidates, named
from dmoa.llm.dialect import ASSUMED_CONTEXT, Description, Dialect, listed
from dmoa.llm.dialects import recognise
from dmoa.llm.faults import read_fault
from dmoa.llm.http import Server, Unreachable

LOAD_SECONDS = 1800.0
"""How long one that says that it is loading is."""
_PAUSE_SECONDS = 0.5
_SAY_SECONDS = 10.0

Say = Callable[[str], None]


class Found(msgspec.Struct, frozen=True):
    """A server, its dialect, and what it has."""

    server: Server
    dialect: Dialect
    models: list[Model]


async def find(url: str, key: str | None, *, wait_seconds: float, say: Say) -> Found:
    """The server at an address.

    Raises:
        LLMUnavailable: nobody answers, or it wants another key.
        UsageError: what answers is a dmoa node.
    """
    server = Server(url, key)
    try:
        await _ready(server, wait_seconds, say)
        dialect = await recognise(server)
        if await dialect.is_node(server):
            raise UsageError(
                f"{url} is a dmoa node; a device needs an LLM of its own, so give the"
                " address of its LLM server, or --llm smollm2"
            )
        return Found(server, dialect, await dialect.models(server))
    except BaseException:  # also a cancelled start: the connection must not stay open
        await server.close()
        raise


async def choose(found: Found, name: str | None) -> tuple[Model, Description]:
    """The model that a name means, or without one the first that can chat, loaded ones first.

    Raises:
        UsageError: there is none, or the one that is named cannot chat.
    """
    server, dialect, models = found.server, found.dialect, found.models
    if name is not None:
        model = named(models, name, server.url) if models else Model(name)
        description = await dialect.describe(server, model)
        if description.chat is False:
            raise UsageError(f"{model.name} at {server.url} cannot chat; name another model")
        return model, description
    if not models:
        raise UsageError(f"{server.url} has no model; load one there first")
    for model in candidates(models):
        description = await dialect.describe(server, model)
        if description.chat is not False:
            return model, description
    raise UsageError(
        f"{server.url} has no model that can chat, only {', '.join(m.name for m in models[:20])};"
        " load one there, or name one by --llm openai:URL#MODEL"
    )


def window(
    description: Description, dialect: Dialect, wanted: int | None, say: Say
) -> tuple[int, int | None]:
    """Tokens to reckon with, and tokens to ask the server for.

    Args:
        wanted: what the user says.
    """
    has = description.window or wanted or ASSUMED_CONTEXT
    if wanted is None:
        return has, None
    if description.most is not None:
        if wanted > description.most:
            say(f"the model holds {description.most} tokens at most; --context {wanted} is cut")
        asked = min(wanted, description.most)
        return asked, asked
    if wanted > has:
        say(
            f"{dialect.program} holds {has} tokens, which only it can change ({dialect.set_by});"
            f" --context {wanted} is cut to that"
        )
    return min(wanted, has), None


async def _ready(server: Server, wait_seconds: float, say: Say) -> None:
    """Wait until a server lists its models, as long as it is worth it.

    Raises:
        LLMUnavailable: it does not, or refuses the key.
    """
    now = asyncio.get_running_loop().time
    started = now()
    said: float | None = None
    while True:
        what, patience = await _missing(server, wait_seconds)
        if not what:
            return
        waited = now() - started
        if waited >= patience:
            raise LLMUnavailable(
                f"no OpenAI-compatible server answers at {server.url} ({what});"
                " start it, or give another address by --llm openai:URL#MODEL"
            )
        if said is None or now() - said >= _SAY_SECONDS:
            said = now()
            say(f"waiting for the LLM server at {server.url}: {what} ({waited:.0f} s)")
        await asyncio.sleep(min(_PAUSE_SECONDS, patience - waited))
        server.forget()


async def _missing(server: Server, wait_seconds: float) -> tuple[str, float]:
    """What a server lacks, empty when it is ready; and seconds in all that are worth a wait."""
    if server.url == server.root and await server.ask("v1/models") is not None:
        server.url = f"{server.root}/v1"  # the user left it out
    path = server.openai_path("models")
    try:
        status, answer = await server.request(f"{server.root}/{path}")
    except Unreachable as error:
        return str(error), wait_seconds
    except LLMBroken as error:
        return str(error), 0.0
    what = "it lists no models"
    if status != 200:
        fault = read_fault(status, answer)
        if fault.kind == "key":
            raise LLMUnavailable(f"{server.url} refuses the key; set the right one in DMOA_LLM_KEY")
        if fault.kind == "busy":
            return fault.words, LOAD_SECONDS if fault.loading else wait_seconds
        what = f"status {status}: {fault.words}"
    elif await listed(server) or answer == {"object": "list", "data": []} or answer == {"data": []}:
        return "", 0.0
    # It may have a list of its own.
    return ("" if await (await recognise(server)).models(server) else what), 0.0
