"""httpx, asyncio: many.py short|upload ORIGIN CONNECTIONS. Prints, by its own port, how many streams it opened.

`short`: ten connections at a time, with 1 to 7 requests each, all as long as one another; also prints how many
addresses OpenSSL's objects had together.
`upload`: all at the same time; connection i sends a megabyte and i kilobytes, between small requests."""
import asyncio
import ctypes
import json
import sys

import httpx

MODE, ORIGIN, CONNECTIONS = sys.argv[1], sys.argv[2], int(sys.argv[3])
CONTEXT = httpx.create_ssl_context(verify=False)
OPTIONS = {"http1": False, "http2": True, "verify": CONTEXT, "limits": httpx.Limits(max_connections=1), "timeout": 120}
counts = {}
addresses = set()


def note(response):
    network = response.extensions["network_stream"]
    port = network.get_extra_info("client_addr")[1]
    counts.setdefault(port, {"opened": 0, "cancelled": 0})["opened"] += 1
    # CPython's PySSLSocket: the object's head (two words), `Socket`, `ssl`.
    inner = network.get_extra_info("ssl_object")._sslobj
    addresses.add(ctypes.c_void_p.from_address(id(inner) + 24).value)


async def short(i, turns):
    async with turns, httpx.AsyncClient(**OPTIONS) as client:
        for _ in range(1 + i % 7):
            note(await client.get(ORIGIN + "/own"))


async def upload(i, _):
    async with httpx.AsyncClient(**OPTIONS) as client:
        for _ in range(1 + i % 5):
            note(await client.get(ORIGIN + "/bytes/100"))
        note(await client.post(ORIGIN + "/bytes/100", content=bytes(1_000_000 + 1000 * i)))
        # Alone: with its end, everything has arrived.
        note(await client.get(ORIGIN + "/bytes/100"))


async def main():
    turns = asyncio.Semaphore(10)
    one = {"short": short, "upload": upload}[MODE]
    await asyncio.gather(*[one(i, turns) for i in range(CONNECTIONS)])


asyncio.run(main())
print("ADDRESSES", len(addresses))
print("CLIENT", json.dumps(counts))
