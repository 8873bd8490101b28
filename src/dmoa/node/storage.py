"""What a node keeps for its next start: one file, and who writes what into it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

import msgspec

from dmoa.protocol.experience import Experience, KeptExperience
from dmoa.standings.examiner import Kept
from dmoa.store.database import Database
from dmoa.store.documents import Documents
from dmoa.store.prompts import KeptPrompts

EXPERIENCE_SECONDS = 10.0
"""How often it is looked whether there is new experience: a crash forgets at most so much."""

_EXAMINATIONS, _EXPERIENCE = "examinations", "experience"


class Storage:
    """What is kept, as it was at the start.

    Attributes:
        prompts: those that were accepted in the background.
        examinations: what they found; None at the first start.
        experience: what was learnt of drafts.
    """

    def __init__(
        self,
        prompts: KeptPrompts,
        documents: Documents,
        examinations: Kept | None,
        experience: Experience,
    ) -> None:
        self.prompts = prompts
        self.examinations = examinations
        self.experience = experience
        self.save_examinations: Callable[[Kept], None] = partial(documents.save, _EXAMINATIONS)
        self._documents = documents
        self._saved = msgspec.json.encode(experience.kept())

    def save_experience(self) -> None:
        """Write the experience, if there is new one."""
        kept = self.experience.kept()
        if (now := msgspec.json.encode(kept)) != self._saved:
            self._saved = now
            self._documents.save(_EXPERIENCE, kept)

    async def save_on(self) -> None:
        """Write new experience, from time to time."""
        while True:
            await asyncio.sleep(EXPERIENCE_SECONDS)
            self.save_experience()


@contextlib.asynccontextmanager
async def storage(state: Path, say: Callable[[str], None]) -> AsyncGenerator[Storage, None]:
    """What a state folder keeps; written to the end.

    Raises:
        UsageError: see `Database.open`.
    """
    database = Database(state / "store.sqlite", say)
    await database.open()
    documents = Documents(database, say)
    try:
        examinations = await documents.load(_EXAMINATIONS, Kept)
        learnt = await documents.load(_EXPERIENCE, KeptExperience)
        stored = Storage(KeptPrompts(database), documents, examinations, Experience(learnt))
        saving = asyncio.create_task(stored.save_on())
        try:
            yield stored
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
            stored.save_experience()
    finally:
        await documents.close()
        await database.close()
