"""Two requests, one after the other, with one httpx client: what does it see when the first one's connection is reset?"""
import sys
import time

import httpx

url, authority = sys.argv[1:]
client = httpx.Client(http2=True, verify=authority, timeout=10)
for number in (1, 2):
    began = time.monotonic()
    try:
        response = client.get(url)
        outcome = f"{response.http_version} {response.status_code}"
    except httpx.HTTPError as error:
        outcome = f"{type(error).__name__}: {error}"
    print(f"httpx {httpx.__version__}, request {number}: {outcome} ({time.monotonic() - began:.2f} s)", flush=True)
