"""Who may use the API of this machine: programs and allowed pages, and no others."""

import json

import pytest

from dmoa.api.paths import tidy
from tests.served import Response, Served, served

BODY = json.dumps({"model": "dmoa-m0-k0", "messages": [{"role": "user", "content": "Hi"}]})


async def post(s: Served, headers: dict[str, str], path: str = "/v1/chat/completions") -> Response:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [f"POST {path} HTTP/1.1", *lines, f"Content-Length: {len(BODY)}", "", ""]
    return await s.raw("\r\n".join(head).encode() + BODY.encode())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:8765"}, 200),
        ({"Host": "localhost:8765", "Content-Type": "text/plain"}, 200),  # curl -d
        ({"Host": "[::1]:8765"}, 200),
        ({"Host": "box.localhost"}, 200),
        ({"Host": "host.docker.internal:8765"}, 200),
        ({}, 200),  # HTTP/1.0
        ({"Host": "evil.example:8765"}, 403),  # a site whose name points here
        ({"Host": "evil.example@127.0.0.1"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:3000"}, 403),
        (
            {"Host": "localhost", "Origin": "https://evil.example", "Content-Type": "text/plain"},
            403,
        ),
        (
            {
                "Host": "localhost:1",
                "Origin": "http://localhost:1",
                "Content-Type": "application/json",
            },
            200,
        ),
        (
            {"Host": "localhost:1", "Origin": "http://localhost:1", "Content-Type": "text/plain"},
            415,
        ),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}, 415),
    ],
)
async def test_foreign_pages_spend_nothing(headers: dict[str, str], status: int) -> None:
    async with served() as s:
        answer = await post(s, headers)
        assert answer.status == status, answer.body
        assert bool(s.cluster.llms[0].asked) == (status == 200)
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_that_is_allowed_may_ask_first_and_then_use_it() -> None:
    async with served(origins=["http://localhost:3000"], hosts=["desk.example"]) as s:
        preflight = await s.raw(
            b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Origin: http://localhost:3000\r\nAccess-Control-Request-Method: POST\r\n"
            b"Access-Control-Request-Headers: content-type\r\nContent-Length: 0\r\n\r\n"
        )
        assert preflight.status == 200
        assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
        headers = {
            "Host": "desk.example",
            "Origin": "http://localhost:3000",
            "Content-Type": "application/json",
        }
        answer = await post(s, headers)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        refused = await post(s, headers | {"Origin": "http://localhost:3001"})
        assert refused.status == 403
        assert "api_origins" in refused.json()["error"]["message"]


async def test_with_a_key_the_name_does_not_matter_but_the_key_does() -> None:
    async with served(keys=["secret"]) as s:
        headers = {"Host": "desk.example"}
        assert (await post(s, headers)).status == 401
        assert (await post(s, headers | {"Authorization": "Bearer secret"})).status == 200
        assert (await post(s, headers | {"x-api-key": "secret"})).status == 200
        assert (await post(s, headers | {"x-api-key": "secrets"})).status == 401


async def test_what_a_browser_asks_for_before_it_sends_needs_no_content_type() -> None:
    async with served() as s:
        for method, status in (("DELETE", 404), ("POST", 415)):
            answer = await s.raw(
                f"{method} /v1/responses/none HTTP/1.1\r\nHost: localhost:1\r\n"
                "Origin: http://localhost:1\r\nContent-Length: 0\r\n\r\n".encode()
            )
            assert answer.status == status


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("//v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/v1/v1/models", "/v1/models"),
        ("/models/dmoa", "/v1/models/dmoa"),
        ("/v1//models", "/v1/models"),
        ("/status/", "/status"),
        ("/responses/resp_1", "/v1/responses/resp_1"),
        ("/v1/v1/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/api/chat", "/api/chat"),
        ("/api//chat/", "/api/chat"),
        ("/", "/"),
        ("//", "/"),
        ("/modelsque", "/modelsque"),
    ],
)
def test_paths_are_read_as_they_are_meant(path: str, meant: str) -> None:
    assert tidy(path) == meant


@pytest.mark.parametrize("path", ["//v1/chat/completions", "/chat/completions/"])
async def test_untidy_paths_are_served(path: str) -> None:
    async with served() as s:
        assert (await post(s, {"Host": "localhost"}, path)).status == 200
