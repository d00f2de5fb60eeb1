"""A producer in a pod: posts events at a steady rate until told to stop, and keeps a ledger of the answers.

    producer.py URL PER_SECOND RUN [REQUEST]

REQUEST is JSON: the method, headers and content of what is sent instead of a small event of its own.

Every event is posted once by a client that keeps its connections, as most do. One that was not answered 2xx is an error
in the ledger, and is posted again under the same id until it is taken: what a producer with patience sees. GET /ledger
tells everything so far; GET /stop ends the posting and tells it all.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import httpx
from aiohttp import web

RETRY_SECONDS = 0.1


class Producer:
    """What was posted and what was answered."""

    def __init__(self, url: str, per_second: float, run: str, request: dict[str, Any] | None) -> None:
        self.url = url
        self.request = request
        self.per_second = per_second
        self.name = run  # the first part of every event's id
        self.acknowledged: dict[str, float] = {}  # event id: seconds until its 202
        self.errors: list[tuple[float, str, str]] = []  # seconds since the start, the event's id, what was wrong
        self.began = time.monotonic()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Post until told to stop, and wait for what is under way."""
        limits = httpx.Limits(max_keepalive_connections=8)
        async with httpx.AsyncClient(trust_env=False, timeout=10, limits=limits) as http, asyncio.TaskGroup() as posts:
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                posts.create_task(self._post(http, f"{self.name}-{number}"))
                await asyncio.sleep(1 / self.per_second)

    async def _post(self, http: httpx.AsyncClient, event: str) -> None:
        began = time.monotonic()
        headers = {"ce-id": event, "ce-source": "/producer", "ce-type": "e2e", "ce-specversion": "1.0"}
        mine = {} if self.request is None else self.request["headers"]
        while event not in self.acknowledged:
            try:
                if self.request is None:
                    answer = await http.post(self.url, json={"event": event}, headers=headers)
                else:
                    answer = await http.request(url=self.url, **self.request | {"headers": mine | headers})
                wrong = "" if answer.is_success else f"{answer.status_code} {answer.text}"
            except httpx.HTTPError as error:
                wrong = repr(error)
            if wrong:
                self.errors.append((time.monotonic() - self.began, event, wrong))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.acknowledged[event] = time.monotonic() - began

    def ledger(self) -> web.Response:
        """Tell everything so far."""
        return web.json_response({"acknowledged": self.acknowledged, "errors": self.errors})


async def main(url: str, per_second: float, run: str, request: dict[str, Any] | None) -> None:
    """Serve the ledger beside the posting."""
    producer = Producer(url, per_second, run, request)
    posting = asyncio.create_task(producer.run())

    async def ledger(_: web.Request) -> web.Response:
        return producer.ledger()

    async def stop(_: web.Request) -> web.Response:
        producer.stopping.set()
        await posting
        return producer.ledger()

    app = web.Application()
    app.router.add_get("/ledger", ledger)
    app.router.add_get("/stop", stop)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8080).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]) if sys.argv[4:] else None))
