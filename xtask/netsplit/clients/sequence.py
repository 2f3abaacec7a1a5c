"""Requests one after the other with one httpx client, and so many more tries for a request that failed. Prints the counts as JSON."""
import json
import sys

import httpx

url, authority, requests, timeout_ms, retries = sys.argv[1:]
client = httpx.Client(http2=True, verify=authority, timeout=10)
errors = {}


def attempt():
    try:
        client.get(url)
        return True
    except httpx.HTTPError as error:
        kind = type(error).__name__
        errors[kind] = errors.get(kind, 0) + 1
        return False


# One unhurried request, so that the connection is there and the code is warm.
attempt()
client.timeout = int(timeout_ms) / 1000
result = {"client": f"httpx {httpx.__version__}", "requests": int(requests), "failed": 0, "lost": 0, "errors": errors}
for _ in range(int(requests)):
    answered = attempt()
    result["failed"] += not answered
    for _ in range(int(retries)):
        answered = answered or attempt()
    result["lost"] += not answered
print(json.dumps(result))
