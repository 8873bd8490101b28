"""What keeps web pages out: a browser on this machine reaches the loopback address, too.

A page of another site may send requests here without asking, if they are simple enough, or let
its own name point to this machine. So whoever speaks for a site (`Origin`) must be one that the
user allowed, the name that is asked for (`Host`) must be this machine's, and what a browser
posts must be declared as JSON. Programs send no `Origin` and notice nothing of it.
"""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dmoa.api.errors import ApiError

# Names that no site of somebody else's can have.
_OWN_NAMES = ("localhost", "host.docker.internal")


class Guard:
    """Lets requests through to an application that no foreign web page has made.

    Args:
        app: the application.
        origins: sites whose pages may use the API, such as `http://localhost:3000`; `*` for all.
        hosts: further names of this machine.
        keyed: whether the API asks for a key, which no foreign page has; then any name will do.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Collection[str] = (),
        hosts: Collection[str] = (),
        keyed: bool = False,
    ) -> None:
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._hosts = {host.lower() for host in (*_OWN_NAMES, socket.gethostname(), *hosts)}
        self._keyed = keyed
        self._app = app
        if self._origins:
            self._app = CORSMiddleware(
                app, allow_origins=sorted(self._origins), allow_methods=["*"], allow_headers=["*"]
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (refused := self._refusal(scope)):
            await refused.response(scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host and not (self._keyed or self._is_ours(host)):  # browsers always say it
            return ApiError(
                403,
                f"the name {host[:100]!r} is none of this machine's; use 127.0.0.1, or allow it by"
                " the setting api_hosts",
            )
        origin = headers.get("origin")
        if origin is not None and not self._may(origin, scope["scheme"], host):
            return ApiError(
                403,
                f"pages of {origin[:100]!r} may not use this API; allow them by the setting"
                " api_origins",
            )
        return _declared(scope["method"], headers)

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name in self._hosts or name.removesuffix(".local") in self._hosts:
            return True
        if name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # a number is nobody's name

    def _may(self, origin: str, scheme: str, host: str) -> bool:
        return origin.lower() == f"{scheme}://{host}".lower() or bool(
            self._origins & {origin.rstrip("/").lower(), "*"}
        )


def _declared(method: str, headers: Headers) -> ApiError | None:
    """A browser posts without asking what it calls text or a form, and must ask for JSON.

    What else changes anything (`DELETE`), it asks for in any case.
    """
    from_browser = "origin" in headers or "sec-fetch-site" in headers
    if method != "POST" or not from_browser:
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return None
    return ApiError(415, f"content type {kind[:100]!r}; send application/json")


def _name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    if "@" in host:
        return ""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
