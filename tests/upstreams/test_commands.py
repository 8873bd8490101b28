"""What only a process shows: proxies, encodings, folders, closed streams, clones (cases 17, 20, 21,
23, 25, 27)."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dmoa.client import fetch_status
from dmoa.node.local import DeviceProcess, LocalNetwork, free_ports
from tests.llm.fake import Fake, Reply, Request, as_json, openai_models
from tests.upstreams.behind import Scripted, said

pytestmark = pytest.mark.processes
EMOJI = "scripted:deterministic,mean=0,answer=Paris 😀 ist schön – λ"
PLAN = (
    "plan",
    "--alpha",
    "1",
    "--devices",
    "4",
    "--layers",
    "1",
    "--proposers",
    "2",
    "--rate",
    "0.05",
)


async def run(
    *arguments: str | bytes,
    stdin: bytes | None = b"",
    shell: str = "",
    environment: Mapping[str, str] | None = None,
) -> tuple[int, bytes, str]:
    """A `dmoa` command; its exit status, stdout and stderr. `shell` closes or moves its streams."""
    command: list[str | bytes] = [sys.executable, "-m", "dmoa", *arguments]
    if shell:
        command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
    )
    async with asyncio.timeout(90):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    assert b"Traceback" not in err, err.decode(errors="replace")
    return process.returncode, out, err.decode(errors="replace")


# --- 17: proxies --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"])
async def test_loopback_never_goes_through_a_proxy(name: str) -> None:
    proxy = {name: "http://127.0.0.1:9"}
    server = Scripted(said("Paris"))
    async with server, LocalNetwork(1, f"openai:{server.url}", environment=proxy) as network:
        url = network.devices[0].url
        status, out, err = await run("ask", "Why?", "--node", url, environment=proxy)
        assert (status, out) == (0, b"Paris\n"), err
        host = url.replace("127.0.0.1", "localhost")
        status, out, err = await run("status", "--node", host, "--json", environment=proxy)
        assert status == 0, err


# --- 23: encodings and streams ------------------------------------------------------------------


async def test_what_the_terminal_cannot_show_is_replaced() -> None:
    async with LocalNetwork(1, EMOJI) as network:
        url = network.devices[0].url
        for encoding in ("cp1252", "utf-16", "ascii:strict"):
            coded = {"PYTHONIOENCODING": encoding}
            status, out, err = await run("ask", "Wo?", "--node", url, environment=coded)
            assert status == 0, err
            assert "Paris" in out.decode(encoding.partition(":")[0])
            status, out, err = await run("ask", "Wo?", "--node", url, "--json", environment=coded)
            assert status == 0, err
            answer = json.loads(out.decode(encoding.partition(":")[0]))["answer"]
            assert answer == "Paris 😀 ist schön – λ", "JSON loses nothing"
            status, out, err = await run("status", "--node", url, environment=coded)
            assert status == 0, err
            assert b"ada" in out.replace(b"\0", b"")
            status, out, err = await run(
                "chat",
                "--node",
                url,
                stdin="Wo?\n\n".encode("ascii"),
                environment=coded if encoding != "utf-16" else {},
            )
            assert status == 0, err
        # Input that is not what it should be.
        for arguments in (("ask", "-"), ("chat",)):
            for env in ({}, {"PYTHONIOENCODING": "utf-8:strict"}):
                status, _, err = await run(
                    *arguments, "--node", url, stdin=b"caf\xe9?\n", environment=env
                )
                if arguments == ("ask", "-"):
                    assert status == 2, err
                assert "iconv" in err
        status, _, err = await run("ask", b"caf\xe9?", "--node", url)
        assert (status, "iconv" in err) == (2, True), err
        status, _, err = await run(b"ask", b"x", b"--model", b"caf\xe9", "--node", url)
        assert status in (1, 2), err
        # Streams that are closed.
        for shell in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
            status, _, err = await run("ask", "Wo?", "--node", url, shell=shell)
            assert status == 0, (shell, err)
        status, _, err = await run("ask", "-", "--node", url, shell="<&-")
        assert (status, "empty" in err) == (2, True), err
        status, _, err = await run("ask", "Wo?", "--node", url, shell=">/dev/full")
        assert (status, "No space left" in err) == (1, True), err


@pytest.mark.parametrize(
    "arguments", [PLAN, (*PLAN, "--json"), ("--help",), ("simulate", "--help")]
)
async def test_a_reader_that_has_gone_is_no_fault(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dmoa"), *arguments, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in (0, 1)
    assert not err.strip(), err.decode()


async def test_a_device_whose_streams_are_closed_serves_all_the_same(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh"),
        *(sys.executable, "-m", "dmoa", "up", "--name", "ada", "--state", str(tmp_path / "ada")),
        *("--llm", EMOJI, "--api", f"127.0.0.1:{port}", "--with-parent"),
        stdin=subprocess.PIPE,
    )
    try:
        await _answers(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
    assert process.returncode == 0


async def _answers(url: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await fetch_status(url)
            except Exception:
                await asyncio.sleep(0.1)
            else:
                return


# --- 27: folders and keys -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "fix"),
    [
        ({"DMOA_HOME": "/dev/null/home"}, "DMOA_HOME"),
        ({"DMOA_HOME": "", "XDG_STATE_HOME": "/dev/null", "HOME": "/dev/null"}, "DMOA_HOME"),
        ({"DMOA_HOME": "/proc/nowhere"}, "DMOA_HOME"),
    ],
)
async def test_a_home_that_cannot_be_written_is_an_error_with_the_fix(
    environment: dict[str, str], fix: str
) -> None:
    status, _, err = await run(
        "up", "--name", "ada", "--llm", EMOJI, "--api", "127.0.0.1:0", environment=environment
    )
    assert status in (1, 2), err
    assert fix in err or "--state" in err, err


@pytest.mark.real  # by its name alone: nothing is run
@pytest.mark.parametrize("command", ["get", "list"])
async def test_a_cache_that_cannot_be_written_is_an_error_with_the_fix(command: str) -> None:
    words = ("models", "get", "smollm2") if command == "get" else ("models", "list")
    status, _, err = await run(
        *words, environment={"DMOA_CACHE": "/dev/null/cache", "HOME": "/dev/null"}
    )
    if command == "get":
        assert status in (1, 2)
        assert "DMOA_CACHE" in err, err


@pytest.mark.parametrize("key", ["secret\n", " secret ", "secret\r\n", "\tsecret"])
async def test_a_line_end_in_a_key_does_no_harm(key: str, tmp_path: Path) -> None:
    (api,) = free_ports(1)
    arguments = ["--llm", EMOJI, "--api", f"127.0.0.1:{api}"]
    device = DeviceProcess("ada", tmp_path, arguments, {"DMOA_API_KEY": key})
    try:
        await device.start()
        for given in ("secret", key):
            shown = {"DMOA_API_KEY": given}
            status, out, err = await run("ask", "Wo?", "--node", device.url, environment=shown)
            assert status == 0, err
            assert out.startswith(b"Paris")
        other = {"DMOA_API_KEY": "other"}
        status, _, err = await run("ask", "Wo?", "--node", device.url, environment=other)
        assert (status, "401" in err) == (1, True), err
    finally:
        await device.stop()


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "nul\x01l"])
async def test_a_key_that_no_header_carries_is_named(key: str) -> None:
    status, _, err = await run(
        "ask", "Wo?", "--node", "http://127.0.0.1:9", environment={"DMOA_API_KEY": key}
    )
    assert status == 2, err
    assert "API key" in err


# --- 20: servers that are not up yet ------------------------------------------------------------


async def test_a_device_waits_for_its_server_and_says_so(tmp_path: Path) -> None:
    (port, api) = free_ports(2)
    device = DeviceProcess(
        "ada",
        tmp_path,
        ["--llm", f"openai:http://127.0.0.1:{port}/v1", "--api", f"127.0.0.1:{api}"],
    )
    starting = asyncio.create_task(device.start())
    try:
        async with asyncio.timeout(60):
            while not (
                device.log.exists() and "waiting for the LLM server" in device.log.read_text()
            ):
                await asyncio.sleep(0.1)
        loading = 3
        models = openai_models("tiny")

        def slowly(request: Request) -> object:
            nonlocal loading
            if request.path == "/v1/models" and loading:
                loading -= 1
                return as_json({"error": {"message": "Loading model", "code": 503}}, 503)
            return models(request)

        async with Fake([slowly], port=port):  # type: ignore[list-item]
            await asyncio.wait_for(starting, 60)
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await device.stop()


@pytest.mark.parametrize("there", [False, True])
async def test_a_server_that_never_comes_is_not_waited_for_for_ever(
    there: bool, tmp_path: Path
) -> None:
    """Nobody is there, or one that is full and says nothing of loading."""

    def full(request: Request) -> Reply:
        return as_json({"error": {"message": "come back later", "code": 503}}, 503)

    async with Fake([full]) as fake:
        (nobody,) = free_ports(1)
        url = fake.url if there else f"http://127.0.0.1:{nobody}/v1"
        status, _, err = await run(
            *("up", "--state", str(tmp_path / "ada"), "--api", "127.0.0.1:0"),
            *("--llm", f"openai:{url}"),
            environment={"DMOA_LLM_WAIT_SECONDS": "1"},
        )
    assert status == 1, err
    assert f"waiting for the LLM server at {url}" in err
    assert f"no OpenAI-compatible server answers at {url}" in err
    assert "start it, or give another address by --llm" in err


# --- 21, 25: identities and links ---------------------------------------------------------------


async def test_an_identity_on_two_devices_is_named_on_both(tmp_path: Path) -> None:
    first, second, *apis = free_ports(4)
    devices = []
    for name, own, other, api in (("ada", first, second, apis[0]), ("bob", second, first, apis[1])):
        arguments = [
            *("--llm", EMOJI, "--listen", f"tcp/127.0.0.1:{own}"),
            *("--connect", f"tcp/127.0.0.1:{other}", "--api", f"127.0.0.1:{api}"),
        ]
        devices.append(DeviceProcess(name, tmp_path, arguments))
    try:
        await devices[0].start()
        (tmp_path / "bob").mkdir()
        shutil.copy(tmp_path / "ada" / "device.key", tmp_path / "bob")
        await devices[1].start()
        async with asyncio.timeout(60):
            for device in devices:
                while not any(
                    "device.key" in problem
                    for problem in (await fetch_status(device.url))["problems"]
                ):
                    await asyncio.sleep(0.1)
        for device in devices:
            assert "device.key" in device.log.read_text()
    finally:
        await asyncio.gather(*(device.stop() for device in devices))


async def test_devices_that_start_at_once_warn_of_nothing(tmp_path: Path) -> None:
    seed, *apis = free_ports(3)
    loading = 4
    models = openai_models("tiny")

    def slowly(request: Request) -> object:
        nonlocal loading
        if request.path == "/v1/models" and loading:
            loading -= 1
            return as_json({"error": {"message": "Loading model", "code": 503}}, 503)
        return models(request)

    async with Fake([slowly]) as fake:  # type: ignore[list-item]
        devices = [
            DeviceProcess(
                "ada",
                tmp_path,
                [
                    *("--llm", f"openai:{fake.url}", "--listen", f"tcp/127.0.0.1:{seed}"),
                    *("--api", f"127.0.0.1:{apis[0]}"),
                ],
            ),
            DeviceProcess(
                "bob",
                tmp_path,
                [
                    *("--llm", EMOJI, "--connect", f"tcp/127.0.0.1:{seed}"),
                    *("--api", f"127.0.0.1:{apis[1]}"),
                ],
            ),
        ]
        try:
            await asyncio.gather(*(device.start() for device in devices))
            async with asyncio.timeout(60):
                while True:
                    status = await fetch_status(devices[1].url)
                    if len(status["devices"]) == 2 and not status["problems"]:
                        break
                    await asyncio.sleep(0.1)
            for device in devices:
                assert "warning" not in device.log.read_text()
        finally:
            await asyncio.gather(*(device.stop() for device in devices))


async def test_status_goes_on_until_ctrl_c() -> None:
    async with LocalNetwork(1, EMOJI) as network:
        url = network.devices[0].url
        for more in ((), ("--json",)):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "dmoa", "status", "--watch", "--node", url, *more),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "COLUMNS": "100"},
            )
            assert process.stdout
            async with asyncio.timeout(60):
                seen = b""
                while b"ada" not in seen:
                    piece = await process.stdout.read(1000)
                    assert piece, "it ended by itself"
                    seen += piece
                process.send_signal(signal.SIGINT)
                _, err = await process.communicate()
            assert process.returncode == 130, err
            assert b"Traceback" not in err
