"""An LLM server, spoken to over HTTP."""

import asyncio
import functools
import ipaddress
import ssl
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from dmoa.errors import LLMBroken, LLMUnavailable, UsageError
from dmoa.llm.events import parse
from dmoa.llm.faults import Fault, ServerRefused, read_fault
from dmoa.llm.packed import Unpacker

CONNECT_SECONDS = 5.0
ASK_SECONDS = 10.0
IDLE_SECONDS = 75.0
"""How long an idle connection is kept; many servers close theirs sooner."""
_ASKED_BYTES = 8 * 2**20  # of an answer that is no stream
_ERROR_BYTES = 64 * 1024


class Unreachable(Exception):
    """Nobody answers at the address; the message says why."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@functools.cache
def authorities() -> ssl.SSLContext:
    """Whom to trust for `https`; read once, because it takes a tenth of a second."""
    return httpx2.create_ssl_context()


class Server:
    """A server, whatever kind it is.

    Args:
        url: of its OpenAI API; ends in `/v1` for nearly all.
        key: shown to it, if it wants one.

    Raises:
        UsageError: the key cannot be sent.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.root = self.url.removesuffix("/v1")
        self.host = urlsplit(url).hostname or ""
        self.key = (key or "").strip()
        if not self.key.isascii() or not self.key.isprintable():
            raise UsageError(
                "the key of the LLM server has a character that HTTP cannot send; set DMOA_LLM_KEY"
                " to the key alone, without line ends"
            )
        headers = {"Accept-Encoding": "identity", "User-Agent": "dmoa"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            verify=authorities(),
            # A proxy has no way to this machine's loopback, only to its own.
            trust_env=not is_loopback(self.host),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS
            ),
            follow_redirects=True,
        )
        self._seen: dict[str, Any] = {}

    def openai_path(self, name: str) -> str:
        """A path of the OpenAI API, under the root."""
        return name if self.root == self.url else f"v1/{name}"

    async def close(self) -> None:
        """End all connections; streams that still run are broken off."""
        await self._client.aclose()

    async def look(self, path: str) -> Any:
        """What a GET under the root gives as JSON, asked once; None for anything else."""
        if path not in self._seen:
            self._seen[path] = await self.ask(path)
        return self._seen[path]

    async def facts(self, path: str) -> dict[str, Any]:
        """The object that a GET under the root gives, asked once; empty for anything else."""
        answer = await self.look(path)
        return answer if isinstance(answer, dict) else {}

    def forget(self) -> None:
        """Ask anew from now on."""
        self._seen.clear()

    async def ask(self, path: str, body: Any = None) -> Any:
        """What a request under the root gives as JSON; None for errors and what is none."""
        try:
            status, answer = await self.request(f"{self.root}/{path}", body)
        except (Unreachable, LLMBroken):
            return None
        return answer if status == 200 and not isinstance(answer, str) else None

    async def request(self, url: str, body: Any = None) -> tuple[int, Any]:
        """A request that is answered at once: its status, and JSON or the text that came.

        Raises:
            Unreachable: nobody answers.
            LLMBroken: the answer makes no sense or does not end.
        """
        try:
            async with asyncio.timeout(ASK_SECONDS):
                async with self._open(url, body) as response:
                    data = await _read(response, _ASKED_BYTES)
        except TimeoutError:
            raise Unreachable(f"no answer in {ASK_SECONDS:.0f} s") from None
        answer = parse(data)
        return response.status_code, data.decode("utf-8", "replace") if answer is None else answer

    @asynccontextmanager
    async def stream(self, path: str, body: Any) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """The bytes of a streamed answer, as they come.

        Args:
            path: under the root.
            body: sent as JSON.

        Raises:
            ServerRefused: it answers with an error.
            LLMUnavailable: nobody answers.
            LLMBroken: it went away before its answer had ended.
        """
        try:
            async with self._open(f"{self.root}/{path}", body) as response:
                if response.status_code >= 400:
                    raise ServerRefused(await _fault(response))
                yield _chunks(response)
        except Unreachable as error:
            raise LLMUnavailable(
                f"the LLM server at {self.url} does not answer ({error}); start it again"
            ) from None

    @asynccontextmanager
    async def _open(self, url: str, body: Any) -> AsyncGenerator[httpx2.Response]:
        """Send a request, again if it met a connection that the server had already closed."""
        fresh = False

        async def trace(event: str, _: dict[str, Any]) -> None:
            nonlocal fresh
            fresh = fresh or event.startswith("connection.connect")

        for last in (False, True):
            fresh = False
            extensions = {"trace": trace}
            if body is None:
                request = self._client.build_request("GET", url, extensions=extensions)
            else:
                headers = {"Content-Type": "application/json"}
                request = self._client.build_request(
                    "POST",
                    url,
                    content=msgspec.json.encode(body),
                    headers=headers,
                    extensions=extensions,
                )
            try:
                response = await self._client.send(request, stream=True)
                break
            except (httpx2.ConnectError, httpx2.TimeoutException, httpx2.ProxyError) as error:
                raise Unreachable(_reason(error)) from None
            except httpx2.HTTPError as error:
                if last or fresh:
                    raise LLMBroken(
                        f"the LLM server at {self.url} broke off: {_reason(error)}"
                    ) from None
            except (httpx2.InvalidURL, UnicodeError) as error:
                raise Unreachable(_reason(error)) from None
        try:
            yield response
        finally:
            await response.aclose()


async def _read(response: httpx2.Response, limit: int) -> bytes:
    data = bytearray()
    async for chunk in _chunks(response):
        data += chunk
        if len(data) > limit:
            raise LLMBroken(f"its answer is longer than {limit} bytes")
    return bytes(data)


async def _chunks(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """The bytes of an answer; gzip, which nobody asked for, may have several members."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    try:
        if encoding in ("gzip", "x-gzip"):
            unpacker = Unpacker()
            async for chunk in response.aiter_raw():
                for piece in unpacker.feed(chunk):
                    yield piece
            return
        async for chunk in response.aiter_bytes():
            yield chunk
    except zlib.error as error:
        raise LLMBroken(f"its answer is not {encoding}: {error}") from None
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise LLMBroken(f"the answer broke off: {_reason(error)}") from None


async def _fault(response: httpx2.Response) -> Fault:
    """An error, also where its body does not come whole."""
    data = bytearray()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            async for chunk in _chunks(response):
                data += chunk
                if len(data) > _ERROR_BYTES:
                    break
    except (TimeoutError, LLMBroken):
        pass  # its status says enough
    body = parse(bytes(data))
    if body is None:
        body = data.decode("utf-8", "replace")
    return read_fault(response.status_code, body, response.headers.get("retry-after"))


def _reason(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
