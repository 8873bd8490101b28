"""Requests made of our own OpenAPI document: as it describes them, and as it does not."""

import json
from typing import Any
from urllib.parse import quote

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.fuzz.hunting import assert_sound, hunt
from tests.served import Served, served

Asked = tuple[str, str, str, bytes | None]
"""Method, path, headers, body."""
MODELS = [None, "dmoa", "dmoa", "dmoa-m0-k0", "dmoa-m2-k2", "dmoa-m1-k1-vote", "dmoa-auto"]


def _strategy(document: dict[str, Any]) -> st.SearchStrategy[Asked]:
    schema = schemathesis.openapi.from_dict(document)
    ways = []
    for path, operations in document["paths"].items():
        for method, described in operations.items():
            operation = schema[path][method.upper()]
            modes = (
                list(GenerationMode) if "requestBody" in described else [GenerationMode.POSITIVE]
            )
            # What has a body is where faults can be.
            weight = 8 if "requestBody" in described else 1
            models = st.sampled_from(MODELS)
            for mode in modes:
                cases = operation.as_strategy(generation_mode=mode)
                ways += [st.builds(_asked, cases, models)] * weight
    return st.one_of(ways)


def _asked(case: schemathesis.Case[Any], model: str | None) -> Asked:
    """A case as bytes; generated names of models are hardly ever right, so some are put right."""
    if model is not None and isinstance(case.body, dict) and "model" in case.body:
        case.body["model"] = model
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe="", errors="replace"))
    body = None
    if case.method.upper() == "POST":
        body = b"" if isinstance(case.body, schemathesis.core.NotSet) else _written(case.body)
    return case.method.upper(), path, "", body


def _written(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return str(body).encode("utf-8", "replace")


async def hunt_requests(*, examples: int, first_seed: int) -> None:
    """Ask a node of three devices."""
    async with served(3, seconds=0.0) as s:
        document = (await s.get("/openapi.json")).json()

        async def check(asked: Asked) -> None:
            method, path, headers, body = asked
            length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n"
            assert_sound(await s.raw(head.encode() + (body or b"")))

        await hunt(_strategy(document), check, examples=examples, first_seed=first_seed)
        await _still_well(s)


async def _still_well(s: Served) -> None:
    assert (await s.get("/healthz")).status == 200
    s.cluster.assert_idle()
