"""The file in which a live judge's replies are kept, so that none is paid for twice.

JSON lines, one a call, written as it comes back, failures too. A run that is interrupted
goes on from it: what is judged is read, what failed is asked again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

from filelock import FileLock, Timeout

from dmoa.errors import UsageError
from dmoa.llm.annotations import Annotation

CallOutcome = Literal["judged", "nonsense", "refused", "timed out", "rate limited", "failed"]


@dataclass(frozen=True)
class Judgement:
    """One call of the judge and what became of it.

    Attributes:
        key: names the question: judge, prompt, both outputs and their order.
        outcome: only "judged" has a preference.
        preference: 1 (baseline better) to 2 (model better), whatever the order was.
        text: the judge's words, or the error's.
        attempt: 1 for the first call of a run for this question.
        input_tokens, output_tokens: as the server counted them, 0 if it did not.
    """

    key: str
    outcome: CallOutcome
    preference: float | None
    text: str
    attempt: int
    input_tokens: int = 0
    output_tokens: int = 0


def key_of(judge: str, annotation: Annotation, *, model_first: bool) -> str:
    """A name for one question to the judge; it changes when anything the judge sees does."""
    seen = [judge, annotation.instruction, annotation.baseline_output, annotation.output]
    return hashlib.sha256(json.dumps([*seen, model_first]).encode()).hexdigest()[:32]


class Judgements:
    """Replies kept in a file; open it with `opened`.

    Attributes:
        judged: the good reply to each question that has one, by key.
    """

    def __init__(self, path: Path, file: TextIO, judged: dict[str, Judgement]) -> None:
        self._path, self._file = path, file
        self.judged = judged

    def add(self, reply: Judgement) -> None:
        """Keep a reply, on disk when this returns."""
        self._file.write(json.dumps(asdict(reply), ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        if reply.outcome == "judged":
            self.judged[reply.key] = reply


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Judgements]:
    """Open or begin a file of judgements; a last line cut by an interruption is dropped.

    Raises:
        UsageError: it is another kind of file, or another run writes to it.
    """
    try:
        with FileLock(f"{path}.lock", timeout=0):
            judged, good_bytes = _read(path)
            with path.open("a", encoding="utf-8") as file:
                file.truncate(good_bytes)
                yield Judgements(path, file, judged)
    except Timeout as error:
        raise UsageError(f"another run writes to {path}; wait for it or name another") from error


def _read(path: Path) -> tuple[dict[str, Judgement], int]:
    judged: dict[str, Judgement] = {}
    good_bytes = 0
    if not path.exists():
        return judged, good_bytes
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):  # cut in the middle of a write
            break
        try:
            reply = Judgement(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path}, line {number} is no judgement of dmoa ({error});"
                " name another results file"
            ) from error
        good_bytes += len(line)
        if reply.outcome == "judged":
            judged[reply.key] = reply
    return judged, good_bytes
