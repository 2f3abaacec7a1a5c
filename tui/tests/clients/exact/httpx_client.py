"""httpx over TLS: httpx_client.py async|sync ORIGIN CONNECTIONS STREAMS. Connection i opens STREAMS + i streams and cancels some of
them after their response headers. Prints, by its own port, how many it opened and cancelled.

`async` is asyncio with memory BIOs, four streams at a time; `sync` is a thread for each connection, on its socket."""
import asyncio
import json
import sys

import httpx
from asking import in_threads
from h2.errors import ErrorCodes

MODE, ORIGIN, CONNECTIONS, STREAMS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
CONTEXT = httpx.create_ssl_context(verify=False)
OPTIONS = {"http1": False, "http2": True, "verify": CONTEXT, "limits": httpx.Limits(max_connections=1), "timeout": 60}
counts = {}


def cancels(i, k):
    return k % (4 + i % 3) == 0


def note(client, response, cancel):
    """Counts a stream. httpx only forgets a stream that is closed early, so RST_STREAM is put into its HTTP/2 state, and goes
    out with the next request."""
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    count = counts.setdefault(port, {"opened": 0, "cancelled": 0})
    count["opened"] += 1
    if cancel:
        connection = client._transport._pool.connections[0]._connection
        connection._h2_state.reset_stream(response.extensions["stream_id"], ErrorCodes.CANCEL)
        count["cancelled"] += 1


async def exchange(client, cancel):
    async with client.stream("GET", ORIGIN + ("/headers" if cancel else "/bytes/300")) as response:
        note(client, response, cancel)
        if not cancel:
            await response.aread()


async def connection(i):
    async with httpx.AsyncClient(**OPTIONS) as client:
        await exchange(client, False)
        numbers = iter(range(1, STREAMS + i - 1))

        async def work():
            for k in numbers:
                await exchange(client, cancels(i, k))

        await asyncio.gather(*[work() for _ in range(4)])
        # Alone: with its end, everything has arrived.
        await exchange(client, False)


async def all_connections():
    await asyncio.gather(*[connection(i) for i in range(CONNECTIONS)])


def exchange_sync(client, cancel):
    with client.stream("GET", ORIGIN + ("/headers" if cancel else "/bytes/300")) as response:
        note(client, response, cancel)
        if not cancel:
            response.read()


def connection_sync(i):
    with httpx.Client(**OPTIONS) as client:
        for k in range(STREAMS + i):
            exchange_sync(client, 0 < k < STREAMS + i - 1 and cancels(i, k))


if MODE == "async":
    asyncio.run(all_connections())
else:
    in_threads(connection_sync, CONNECTIONS)
print("CLIENT", json.dumps(counts))
