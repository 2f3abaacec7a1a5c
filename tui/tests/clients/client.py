"""httpx without TLS: client.py URL REQUESTS PARALLEL. Prints how many requests succeeded over HTTP/2."""
import asyncio
import json
import sys

import httpx


async def main(url, requests, parallel):
    succeeded = 0
    numbers = iter(range(requests))
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=60) as client:

        async def work():
            nonlocal succeeded
            for i in numbers:
                body = b"x" * (i * 61 % 20000) if i % 3 == 0 else None
                response = await client.request("POST" if body else "GET", url, content=body)
                succeeded += response.http_version == "HTTP/2"

        await asyncio.gather(*[work() for _ in range(parallel)])
    print("CLIENT", json.dumps({"succeeded": succeeded}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
