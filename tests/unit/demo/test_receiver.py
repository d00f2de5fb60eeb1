"""The receiver for trying a route by hand."""

import httpx

from demo.receiver import receiving


async def test_every_post_is_taken_and_told_in_a_line_that_steers_no_terminal() -> None:
    told: list[str] = []

    async with receiving([0], told.append) as (port,), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/events%1b?a=b", content=b'{"id": 7}\x1b[2J\n')

    assert answer.status_code == 204
    assert told == [f':{port} POST /events%1b?a=b  {{"id": 7}}·[2J·']


async def test_that_a_token_came_is_told_and_never_the_token() -> None:
    told: list[str] = []

    async with receiving([0], told.append) as (port,), httpx.AsyncClient(trust_env=False) as http:
        await http.post(f"http://127.0.0.1:{port}/x", content=b"y", headers={"Authorization": "Bearer hunter2"})

    assert told == [f":{port} POST /x  (Bearer token)  y"]


async def test_it_listens_at_each_port() -> None:
    told: list[str] = []

    async with receiving([0, 0], told.append) as ports, httpx.AsyncClient(trust_env=False) as http:
        for port in ports:
            await http.post(f"http://127.0.0.1:{port}/events", content=b"x")

    assert told == [f":{port} POST /events  x" for port in ports]


async def test_it_says_what_it_is_told_to_say() -> None:
    async with receiving([0], lambda _: None, '{"price": 7}') as (port,), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/offers", content=b"x")

    assert (answer.status_code, answer.json()) == (200, {"price": 7})
