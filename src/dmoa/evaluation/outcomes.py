"""The raw outcomes of an experiment: one JSON line an answer, so that nothing is paid twice.

The first line says what the experiment is; a file is only ever continued by the same one. An
interruption may leave half a line at the end, which is cut off when the file is opened again.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import filelock
import msgspec

from dmoa.errors import UsageError
from dmoa.protocol.records import PromptRecord

FORMAT = 1


class Inference(msgspec.Struct, frozen=True, array_like=True):
    """One inference of an answer: device number, seconds in its queue and in service, words."""

    device: int
    queue_seconds: float
    service_seconds: float
    text: str = ""


class GradedAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One question, answered in one way by one team.

    Attributes:
        team: who was asked: `diverse`, or the LLM that every device had.
        way: name of the `Way`.
        question: its number.
        owner: number of the device whose user asked.
        answer: the text.
        right: whether it is right; None where nobody can say.
        tasks: inferences spent.
        session: of which run of the program.
        started: seconds from the beginning of the session.
        seconds: from the question to the answer.
        layers: inferences layer by layer, the aggregation last.
    """

    team: str
    way: str
    question: int
    owner: int
    answer: str
    right: bool | None
    tasks: int
    prompt_tokens: int
    completion_tokens: int
    session: int
    started: float
    seconds: float
    layers: list[list[Inference]] = []

    @property
    def key(self) -> tuple[str, str, int]:
        """What the outcome is of."""
        return self.team, self.way, self.question

    @property
    def inferences(self) -> list[Inference]:
        """All of them."""
        return [inference for layer in self.layers for inference in layer]


def inferences_of(record: PromptRecord, numbers: dict[str, int]) -> list[list[Inference]]:
    """The inferences of a record that were answered, layer by layer.

    Args:
        numbers: of devices, by name.
    """
    layers = [*(layer.proposers for layer in record.layers), record.aggregator]
    return [
        [
            Inference(numbers[i.name], i.queue_seconds or 0.0, i.service_seconds or 0.0, i.preview)
            for i in layer
            if i.outcome == "answered"
        ]
        for layer in layers
        if layer
    ]


class Outcomes:
    """A results file, open.

    Attributes:
        session: number of this run of the program on this file.
        path: the file.
    """

    def __init__(
        self, path: Path, session: int, known: list[GradedAnswer], file: IO[bytes]
    ) -> None:
        self.path = path
        self.session = session
        self._known = {outcome.key: outcome for outcome in known}
        self._file = file

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __getitem__(self, key: tuple[str, str, int]) -> GradedAnswer:
        return self._known[key]

    def add(self, outcome: GradedAnswer) -> None:
        """Keep an outcome; it is on the disk when this returns, or as good as."""
        self._known[outcome.key] = outcome
        self._file.write(msgspec.json.encode(outcome) + b"\n")
        self._file.flush()


@contextlib.contextmanager
def opened(path: Path, settings: msgspec.Struct) -> Iterator[Outcomes]:
    """A results file, new or continued.

    Args:
        path: the file; its folder is made.
        settings: what the experiment is: a file with others is left alone.

    Raises:
        UsageError: the file is another experiment's, is broken, or is in use.
    """
    # As it will be read again: tuples are lists.
    header = {"dmoa_eval": FORMAT, **msgspec.json.decode(msgspec.json.encode(settings))}
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
            stack.enter_context(lock)
            file = stack.enter_context(path.open("ab+"))
        except filelock.Timeout:
            raise UsageError(
                f"another run writes to {path}; wait for it or use another --out"
            ) from None
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}; use another --out, or set DMOA_CACHE to a"
                " folder that can be written"
            ) from error
        file.seek(0)
        *lines, torn = file.read().split(b"\n")
        first = msgspec.json.encode(header)
        if lines:
            _check(path, lines[0], header)
        elif not first.startswith(torn):
            raise _broken(path, 1, "it is not of a study")
        if torn:
            file.truncate(file.seek(0, 2) - len(torn))
        if not lines:
            file.write(first + b"\n")
        known = [_read(path, number, line) for number, line in enumerate(lines[1:], 2)]
        session = 1 + max((outcome.session for outcome in known), default=0)
        yield Outcomes(path, session, known, file)


def _check(path: Path, line: bytes, header: dict[str, Any]) -> None:
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _broken(path, 1, error) from None
    for name, value in header.items():
        if found.get(name) != value:
            raise UsageError(
                f"{path} is of another experiment: its {name} is {found.get(name)!r}, not"
                f" {value!r}; use another --out"
            )


def _read(path: Path, number: int, line: bytes) -> GradedAnswer:
    try:
        return msgspec.json.decode(line, type=GradedAnswer)
    except msgspec.DecodeError as error:
        raise _broken(path, number, error) from None


def _broken(path: Path, number: int, error: object) -> UsageError:
    return UsageError(
        f"{path}, line {number} is no outcome ({error}); delete the line, or use another --out"
    )
