"""Paths as clients write them: with a slash too many, or without the version."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_SLASHES = re.compile("/{2,}")
_VERSIONED = ("chat/completions", "completions", "embeddings", "models", "responses", "messages")


def tidy(path: str) -> str:
    """The path that is meant: `//v1/models/` and `/models` are `/v1/models`."""
    path = _SLASHES.sub("/", path)
    if len(path) > 1:
        path = path.rstrip("/") or "/"
    inner = path.removeprefix("/v1/v1/")  # a base URL that ends in /v1, and a client that adds it
    if inner != path:
        path = f"/v1/{inner}"
    if path.startswith("/v1/api/"):  # the same, with Ollama's API
        path = path.removeprefix("/v1")
    first = path.removeprefix("/")
    if any(first == name or first.startswith(f"{name}/") for name in _VERSIONED):
        path = f"/v1/{first}"
    return path


class TidyPaths:
    """An application that is asked by tidy paths.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            scope = {**scope, "path": tidy(scope["path"])}
        await self._app(scope, receive, send)
