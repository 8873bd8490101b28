"""PocketQA: a closed world of short English questions with exactly checkable answers.

    from dmoa.evaluation import pocketqa

    for q in pocketqa.questions(n=40, seed=3):
        print(q.text, pocketqa.is_right(reply_of_some_model, q))

Everything is drawn from seeds; nothing here needs more than the standard library.
`docs/pocketqa.md` describes the world and what was measured in it.
"""

from dmoa.evaluation.pocketqa.world import (
    PERIOD,
    SEED,
    STRONG,
    Question,
    World,
    questions,
    skill_question,
    world,
)
from dmoa.llm.pocket import NAMES, OUTSIDE, SURE, UNSURE, aggregation_prompt

__all__ = [
    "NAMES",
    "OUTSIDE",
    "PERIOD",
    "SEED",
    "STRONG",
    "SURE",
    "UNSURE",
    "Question",
    "World",
    "aggregation_prompt",
    "answer_of",
    "is_right",
    "is_sure",
    "questions",
    "skill_question",
    "without_confidence",
    "world",
]


def answer_of(reply: str) -> str:
    """The answer in a reply: what stands before the first comma, without a full stop."""
    return reply.split(",")[0].strip().rstrip(".").rstrip()


def is_sure(reply: str) -> bool:
    """Whether a reply claims to be sure; one that says nothing of it does not."""
    return reply.strip().endswith(SURE.strip(", "))


def is_right(reply: str, question: Question) -> bool:
    """Whether the answer in a reply is exactly the right one."""
    return answer_of(reply) == question.answer


def without_confidence(reply: str) -> str:
    """The reply reduced to its answer: `Dranko, I am sure.` becomes `Dranko.`."""
    return answer_of(reply) + "."
