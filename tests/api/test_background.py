"""What chat programs ask for themselves goes to the own LLM alone."""

import pytest

from dmoa.api.background import background_task
from dmoa.api.making import PromptDefaults
from dmoa.protocol.conversation import Message
from tests.served import served

OPEN_WEBUI_TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Guidelines:
- The title should clearly represent the main theme or subject of the conversation.
### Chat History:
<chat_history>
USER: Why is the sky blue?
</chat_history>"""
OPEN_WEBUI_TAGS = """### Task:
Generate 1-3 broad tags categorizing the main themes of the chat history, along with 1-3 more
specific subtopic tags.
### Chat History:"""
OPEN_WEBUI_FOLLOW_UPS = """### Task:
Suggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next in this
conversation as a **user**, based on the chat history, to help continue or deepen the discussion."""
OPEN_WEBUI_QUERIES = """### Task:
Analyze the chat history to determine the necessity of generating search queries, in the given
language."""


def conversation(*turns: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=text) for role, text in turns]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("messages", "task"),
    [
        (conversation(("user", OPEN_WEBUI_TITLE)), "a title"),
        (conversation(("user", OPEN_WEBUI_TAGS)), "tags"),
        (conversation(("user", OPEN_WEBUI_FOLLOW_UPS)), "follow-up questions"),
        (conversation(("user", OPEN_WEBUI_QUERIES)), "search queries"),
        (
            conversation(
                ("system", "You are a title generator. You output ONLY a thread title."),
                ("user", "Generate a title for this conversation:\n"),
                ("user", "Why is the sky blue?"),
            ),
            "a title",
        ),
        (
            conversation(
                ("user", "Provide a concise, 5-word-or-less title for the conversation, using its")
            ),
            "a title",
        ),
    ],
)
def test_templates_of_chat_programs_are_known(messages: list[Message], task: str) -> None:
    assert background_task(messages) == task


@pytest.mark.parametrize(
    "text",
    [
        "Why is the sky blue?",
        "Give me a title for my poem about the sea.",
        "Which tags does HTML have for tables?",
        "Summarise the history of Rome.",
        "What is a good follow-up to an unanswered e-mail?",
    ],
)
def test_questions_of_people_are_none(text: str) -> None:
    assert background_task(conversation(("user", text))) is None
    assert background_task(conversation(("system", "You are helpful."), ("user", text))) is None


def test_a_user_who_asks_for_a_title_in_a_conversation_gets_the_committee() -> None:
    turns = conversation(
        ("user", "Here is my essay: ..."),
        ("assistant", "It is good."),
        ("user", "Generate a title for this conversation's essay."),
    )
    assert background_task(turns) is None


async def test_they_cost_one_inference_and_the_answer_says_why() -> None:
    body = [{"role": "user", "content": OPEN_WEBUI_TITLE}]
    async with served() as s:
        answer = await s.client.chat.completions.create(model="dmoa-m1-k3", messages=body)  # type: ignore[arg-type]
        tree = (answer.model_extra or {})["dmoa"]
        assert tree["tasks"] == 1
        assert tree["why"] == "a chat program wants a title, which needs no committee"
    async with served(defaults=PromptDefaults(background=False)) as s:
        answer = await s.client.chat.completions.create(model="dmoa-m1-k3", messages=body)  # type: ignore[arg-type]
        assert (answer.model_extra or {})["dmoa"]["tasks"] == 5


async def test_drafts_have_a_length_of_their_own_and_another_device_may_write() -> None:
    ask = [{"role": "user", "content": "Why?"}]
    async with served(defaults=PromptDefaults(draft_tokens=2)) as s:
        answer = await s.client.chat.completions.create(
            model="dmoa-m1-k3",
            messages=ask,  # type: ignore[arg-type]
            extra_body={"dmoa": {"aggregator": "d2"}},
        )
        tree = (answer.model_extra or {})["dmoa"]
        assert answer.choices[0].message.content == "answer of d2 with some more words"
        assert [p["usage"]["completion_tokens"] for p in tree["layers"][0]["proposers"]] == [2] * 4
        assert [a["name"] for a in tree["aggregator"]] == ["d2"]
        refused = await s.post(
            b'{"model": "dmoa-m1-k3", "messages": [{"role": "user", "content": "?"}],'
            b' "dmoa": {"aggregator": "nobody"}}'
        )
        assert refused.status == 404
        assert "'nobody' is no device" in refused.json()["error"]["message"]
