"""BoringSSL, as curl_cffi's one library has it: boringssl.py ORIGIN CONNECTIONS STREAMS. A thread for each connection; connection i
opens STREAMS + i streams, one after the other. It asks once, reads a line, and begins. Prints, by its own port, how many it
opened; it cancels none."""
import json
import sys

from asking import in_threads
from curl_cffi import CurlHttpVersion, Session

ORIGIN, CONNECTIONS, STREAMS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
counts = {}


def connection(i):
    with Session(verify=False, http_version=CurlHttpVersion.V2_0) as session:
        for _ in range(STREAMS + i):
            response = session.get(ORIGIN + "/bytes/300")
            assert (response.status_code, len(response.content)) == (200, 300), response
            count = counts.setdefault(response.local_port, {"opened": 0, "cancelled": 0})
            count["opened"] += 1


with Session(verify=False, http_version=CurlHttpVersion.V1_1) as first:
    first.get(ORIGIN + "/bytes/100")
sys.stdin.readline()
in_threads(connection, CONNECTIONS)
print("CLIENT", json.dumps(counts))
