"""The dialects that LLM servers speak, one module each.

A module here that defines `DIALECT` is a dialect; nothing else need be told of it. See
`dmoa.llm.dialect.Dialect` for what it says.
"""

import importlib
import pkgutil
from functools import cache

from dmoa.llm.dialect import Dialect
from dmoa.llm.http import Server


@cache
def dialects() -> tuple[Dialect, ...]:
    """All dialects, in the order in which a server is asked for them."""
    modules = [
        importlib.import_module(f"{__name__}.{module.name}")
        for module in pkgutil.iter_modules(__path__)
    ]
    found: list[Dialect] = [module.DIALECT for module in modules if hasattr(module, "DIALECT")]
    return tuple(sorted(found, key=lambda dialect: (dialect.order, dialect.program)))


async def recognise(server: Server) -> Dialect:
    """The dialect of a server, by what it answers; the generic one takes what is left."""
    for dialect in dialects():
        if await dialect.recognises(server):
            return dialect
    raise AssertionError("the generic dialect recognises every server")
