"""httpx, asyncio, which offers HTTP/2 and HTTP/1.1 and gets the latter: fallback.py ORIGIN REQUESTS."""
import asyncio
import sys

import httpx


async def main(origin, requests):
    async with httpx.AsyncClient(http2=True, verify=False) as client:
        for _ in range(requests):
            response = await client.get(origin + "/bytes/100")
            assert response.http_version == "HTTP/1.1", response.http_version


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
