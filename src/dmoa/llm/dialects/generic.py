"""Any server with OpenAI's API that none of the other dialects knows."""

from typing import ClassVar

from dmoa.llm.dialect import Dialect
from dmoa.llm.http import Server


class Generic(Dialect):
    """OpenAI's API and no more."""

    program: ClassVar[str] = "an OpenAI-compatible server"
    order: ClassVar[int] = 100

    async def recognises(self, server: Server) -> bool:
        """Always: it is asked last."""
        return True


DIALECT = Generic()
