# What a probe costs: hit.py CERTIFICATE CALLS. One process talks to itself over TLS in memory. For each line on standard
# input it makes CALLS writes of 100 bytes and as many reads, and prints the nanoseconds of one call.
import ssl
import sys
import time

certificate, calls = sys.argv[1], int(sys.argv[2])
server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(certificate)
client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client_context.check_hostname = False
client_context.verify_mode = ssl.CERT_NONE
there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
client = client_context.wrap_bio(back, there)
server = server_context.wrap_bio(there, back, server_side=True)


def shake(side):
    try:
        side.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


while not (shake(client) & shake(server)):
    pass
message = b"x" * 100
print("READY", flush=True)
for _ in sys.stdin:
    started = time.perf_counter_ns()
    for _ in range(calls):
        client.write(message)
        server.read(100)
    print("CALL", (time.perf_counter_ns() - started) / calls / 2, flush=True)
