"""A small service: it takes an order, and says so in its outbox, in one transaction.

    python examples/08-outbox/orders.py postgresql://orders:an-example@127.0.0.1:5432/orders?sslmode=disable coffee 450

Either both are there or neither is: no order without its event, no event without its order.
"""

import asyncio
import json
import sys

import asyncpg


async def place(url: str, item: str, cents: int) -> int:
    """Place an order; its number."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            order = await connection.fetchval(
                "INSERT INTO orders (item, cents) VALUES ($1, $2) RETURNING id", item, cents
            )
            data = json.dumps({"order": order, "item": item, "cents": cents})
            await connection.execute("INSERT INTO outbox (type, data) VALUES ('order.placed', $1)", data)
    finally:
        await connection.close()
    return int(order)


if __name__ == "__main__":
    print("order", asyncio.run(place(sys.argv[1], sys.argv[2], int(sys.argv[3]))), "is placed")
