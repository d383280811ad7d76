"""What stands before the service: size, time and rate of requests, headers of answers; plain ASGI."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from ttd_jax.serve.limits import Limits

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_DRAINED, _PATIENCE = 16_000_000, 3.0  # bytes and seconds that are still taken from a client that is refused

_LONG_LIVED = re.compile(r".*/(heartbeat/[^/]*|queue/data)")  # of the page: open as long as a browser looks at it

HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""Headers of every answer: a browser fetches nothing from elsewhere, whatever a page asks for."""


class Refused(Exception):
    """A request that is cut off.

    Args:
        status: Of the answer.
        error: One line for the client.
    """

    def __init__(self, status: int, error: str):
        super().__init__(error)
        self.status, self.error = status, error


class Guard:
    """Refuses requests that are too large, too slow or too many, and counts those that are being answered.

    Args:
        app: What answers the others.
        limits: The bounds.
        allowed: Which paths there are, for which methods; None for all. Others are not found.
        room: Whether there is room for what is uploaded to a path.
        tell: Is told the path and status of every answer.

    Attributes:
        open: Requests being answered, but for those that stay open as long as a page is looked at.
    """

    def __init__(
        self,
        app: Any,
        *,
        limits: Limits,
        allowed: re.Pattern[str] | None = None,
        room: Callable[[str], bool] = lambda path: True,
        tell: Callable[[str, int], None] = lambda path, status: None,
    ):
        self.app, self.limits, self.allowed, self.room, self.tell = app, limits, allowed, room, tell
        self.open = 0
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(limits.rate) if limits.rate else None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # nothing here speaks through websockets
        counted = not _LONG_LIVED.fullmatch(scope["path"])
        self.open += counted
        try:
            await self._answer(scope, receive, send)
        finally:
            self.open -= counted

    async def _answer(self, scope: Any, receive: Receive, send: Send) -> None:
        body = _Body(receive, self.limits)
        begun = refused = False

        async def answered(message: Message) -> None:
            nonlocal begun
            if refused:
                return  # what the app says of a request that was cut off
            begun = True
            if message["type"] == "http.response.start":
                self.tell(scope["path"], message["status"])
                known = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in known]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        async def watched() -> Message:
            nonlocal refused
            try:
                return await body.next()
            except Refused:
                refused = not begun
                raise

        try:
            await self._check(scope)
            await self.app(scope, watched, answered)
        except Refused as reason:
            if not begun:
                self.tell(scope["path"], reason.status)
                await _refuse(send, receive, reason)

    async def _check(self, scope: Any) -> None:
        path, method = scope["path"], scope["method"]
        if self.allowed is not None and not self.allowed.fullmatch(f"{method} {path}"):
            raise Refused(404, "there is nothing here")
        if method != "POST":
            return
        client = scope["client"][0] if scope.get("client") else ""
        if self._rate is not None and not await self._window.hit(self._rate, client):
            raise Refused(429, f"this service takes {self.limits.rate} requests a minute from one address: wait a bit")
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length[:20]) > self.limits.upload:
            raise _too_large(self.limits)
        if not self.room(path):
            raise Refused(503, "uploads of others fill the room there is: try again in some minutes")


class _Body:
    """The body of a request as it comes in, no longer and no slower than the limits."""

    def __init__(self, receive: Receive, limits: Limits):
        self._receive, self._limits = receive, limits
        self._bytes, self._until, self._whole = 0, time.monotonic() + limits.seconds, False

    async def next(self) -> Message:
        if self._whole:  # what comes next is that the client has gone, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout(max(self._until - time.monotonic(), 0)):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, f"the request did not arrive within {self._limits.seconds} seconds") from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._limits.upload:
            raise _too_large(self._limits)
        return message


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"a request has {limits.megabytes} MB at most, all files together: send less")


async def _refuse(send: Send, receive: Receive, reason: Refused) -> None:
    """Answers at once, and takes a little more of the body: most clients look at an answer only when they have sent."""
    body = json.dumps({"error": reason.error}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    if reason.status in (429, 503):
        headers["retry-after"] = "30"
    pairs = [(name.encode(), value.encode()) for name, value in {**headers, **HEADERS}.items()]
    await send({"type": "http.response.start", "status": reason.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(_PATIENCE):
            taken, more = 0, True
            while more and taken < _DRAINED:
                message = await receive()
                taken += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
