# httpx over TLS with memory BIOs: tls.py URL CONNECTIONS; 1, 2, 3 .. requests on them.
import asyncio
import sys

import httpx


async def ask(url, requests):
    async with httpx.AsyncClient(http2=True, verify=False) as client:
        for _ in range(requests):
            response = await client.get(url)
            assert response.http_version == "HTTP/2", response.http_version


async def main():
    await asyncio.gather(*[ask(sys.argv[1], i + 1) for i in range(int(sys.argv[2]))])


asyncio.run(main())
