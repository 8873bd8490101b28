"""The user's own questions: JSON lines with `question`, `answers` and, if wanted, `topic`.

    {"question": "Which valve do we close first?", "answers": ["V3", "valve 3"], "topic": "plant"}

A file is taken as a whole or not at all; what is wrong with it is said by line.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from dmoa.errors import UsageError
from dmoa.standings.grading import states

LINE_BYTES = 64 * 2**10
QUESTIONS = 10_000
QUESTION_CHARACTERS = 16_000
ANSWERS = 32
ANSWER_CHARACTERS = 400
TOPIC_CHARACTERS = 40
FAULTS_TOLD = 10


class OwnQuestion(msgspec.Struct, frozen=True):
    """A question of the user, with any of the answers being right."""

    question: str
    answers: tuple[str, ...]
    topic: str = "own"


def read_questions(path: Path, known: Iterable[OwnQuestion] = ()) -> list[OwnQuestion]:
    """Questions of a file, in order.

    Args:
        path: JSON lines; empty lines are passed over.
        known: those that are there already; the same ones again are duplicates.

    Raises:
        UsageError: the file cannot be read, or some line is no question, has no answers, is
            too long, or is a duplicate; names up to FAULTS_TOLD lines with the causes.
    """
    return checked(_lines(path), str(path), known)


def checked(
    lines: Iterable[tuple[int, bytes | None]], name: str, known: Iterable[OwnQuestion] = ()
) -> list[OwnQuestion]:
    """Questions of numbered lines, in order; see `read_questions`.

    Args:
        lines: JSON objects with their numbers; None for one that is too long.
        name: what they are called, for errors.
        known: those that are there already.
    """
    lines_of = {_key(own.question): "known already" for own in known}
    found: list[OwnQuestion] = []
    faults: list[str] = []
    for place, line in lines:
        try:
            own = _question(line)
            if before := lines_of.get(_key(own.question)):
                raise ValueError(f"a duplicate, {before}")
            if len(lines_of) >= QUESTIONS:
                raise ValueError(f"more than {QUESTIONS} questions")
        except (ValueError, msgspec.MsgspecError) as fault:
            faults.append(f"line {place}: {fault}")
            if len(faults) == FAULTS_TOLD:
                faults.append("and perhaps more")
                break
        else:
            lines_of[_key(own.question)] = f"the same as line {place}"
            found.append(own)
    if faults:
        raise UsageError(f"{name}: nothing was taken\n  " + "\n  ".join(faults))
    if not found:
        raise UsageError(f'{name} has no questions; write lines like {{"question", "answers"}}')
    return found


def _key(question: str) -> str:
    return " ".join(question.casefold().split())


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers; None for one that is too long, which is not kept in memory."""
    try:
        with path.open("rb") as file:
            place = 0
            while line := file.readline(LINE_BYTES + 1):
                place += 1
                if len(line) > LINE_BYTES and not line.endswith(b"\n"):
                    while (rest := file.readline(LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    yield place, None
                elif line.strip():
                    yield place, line
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _question(line: bytes | None) -> OwnQuestion:
    if line is None:
        raise ValueError(f"longer than {LINE_BYTES} bytes")
    own = msgspec.json.decode(line, type=OwnQuestion)
    if not own.question.strip():
        raise ValueError("the question is empty")
    if len(own.question) > QUESTION_CHARACTERS:
        raise ValueError(f"the question is longer than {QUESTION_CHARACTERS} characters")
    _check_answers(own.answers)
    if len(own.topic) > TOPIC_CHARACTERS:
        raise ValueError(f"the topic is longer than {TOPIC_CHARACTERS} characters")
    return own


def _check_answers(answers: Sequence[str]) -> None:
    if not answers:
        raise ValueError("it has no answers")
    if len(answers) > ANSWERS:
        raise ValueError(f"it has more than {ANSWERS} answers")
    for answer in answers:
        if len(answer) > ANSWER_CHARACTERS:
            raise ValueError(f"an answer is longer than {ANSWER_CHARACTERS} characters")
        if not states(answer, answer):
            raise ValueError(f"the answer {answer!r} cannot be graded: it has no word or number")
