# Python: steady.py LIBRARY URL INTERVAL_MS [CONNECTIONS]; a stream each time on one connection, none is given up; of several
# connections each has an interval half as long again as that of the one before. LIBRARY is openssl, gnutls (each with a socket of
# its own and the h2 package), httpx (memory BIOs) or httpx-sync.
# `late LIBRARY ..` reads a line from standard input before it loads the TLS library at all; `prefork N LIBRARY ..` loads it,
# reads that line and lets N children do it; `exec PROGRAM ..` reads that line and becomes another program. `crowd N openssl ..`
# reads that line while it is at work: it stops, writes to N other TLS objects, all of which stay, and goes on.
import os
import socket
import sys
import threading
import time
from urllib.parse import urlsplit


crowd = 0


def main(words):
    global crowd
    if words[0] == "crowd":
        crowd = int(words[1])
        # The kernel's table has a list for each processor: what one has taken lately is not pushed out by another.
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        main(words[2:])
    elif words[0] == "late":
        wait_for_word()
        main(words[1:])
    elif words[0] == "exec":
        wait_for_word()
        os.execv(words[1], words[1:])
    elif words[0] == "prefork":
        load(words[2])
        wait_for_word()
        children = [fork(words[2:]) for _ in range(int(words[1]))]
        for child in children:
            os.waitpid(child, 0)
    else:
        intervals = [int(words[2]) / 1000 * 1.5**i for i in range(int((words[3:] or [1])[0]))]
        if words[0] == "httpx":
            over_httpx(words[1], intervals)
            return
        over = over_httpx_sync if words[0] == "httpx-sync" else over_a_socket(load(words[0]))
        for interval in intervals[1:]:
            threading.Thread(target=over, args=(words[1], interval)).start()
        over(words[1], intervals[0])


def wait_for_word():
    print("WAITING", flush=True)
    assert sys.stdin.readline().strip() == "go"


def fork(words):
    child = os.fork()
    if child == 0:
        main(words)
        os._exit(0)
    return child


def load(library):
    if library == "gnutls":
        import gnutls_socket

        return gnutls_socket.GnuTls
    return OpenSsl


class OpenSsl:
    def __init__(self, host, port):
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        connected = socket.create_connection((host, port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context.wrap_socket(connected)
        self.again = ssl.SSLWantReadError
        self.tls.setblocking(False)

    def fileno(self):
        return self.tls.fileno()

    def send(self, data):
        while data:
            try:
                data = data[self.tls.send(data):]
            except (self.again, BlockingIOError):
                time.sleep(0.001)

    def receive(self):
        """What is there; None when nothing is."""
        try:
            return self.tls.recv(65536)
        except self.again:
            return None


def over_a_socket(library):
    def over(url, interval):
        url = urlsplit(url)
        over_socket(library(url.hostname, url.port), url, interval)

    return over


def over_socket(tls, url, interval):
    import select

    import h2.connection
    import h2.events

    h2_connection = h2.connection.H2Connection()
    h2_connection.initiate_connection()
    tls.send(h2_connection.data_to_send())
    headers = [(":method", "GET"), (":scheme", "https"), (":authority", url.netloc), (":path", url.path)]
    due = time.monotonic()
    others = []
    while True:
        ready = select.select([tls] + [sys.stdin] * (crowd > len(others)), [], [], max(0, due - time.monotonic()))[0]
        if sys.stdin in ready:
            assert sys.stdin.readline().strip() == "go"
            for _ in range(crowd):
                others.append(other := OpenSsl(url.hostname, url.port))
                other.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            # Whatever is remembered of the first connection is old by now.
            time.sleep(1.5)
            print("CROWDED", flush=True)
        while (data := tls.receive()) is not None:
            if not data:
                sys.exit("the server closed the connection")
            for event in h2_connection.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    h2_connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if time.monotonic() >= due:
            due = max(due + interval, time.monotonic())
            h2_connection.send_headers(h2_connection.get_next_available_stream_id(), headers, end_stream=True)
        if to_send := h2_connection.data_to_send():
            tls.send(to_send)


def over_httpx_sync(url, interval):
    import httpx

    with httpx.Client(http1=False, http2=True, verify=False, timeout=None) as client:
        while True:
            client.get(url)
            time.sleep(interval)


def over_httpx(url, intervals):
    import asyncio

    import httpx

    async def ask(client):
        response = await client.get(url)
        assert response.http_version == "HTTP/2", response.http_version

    async def run(interval):
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http2=True, verify=False, timeout=None, limits=limits) as client:
            await ask(client)
            tasks = set()
            while True:
                task = asyncio.create_task(ask(client))
                tasks.add(task)
                task.add_done_callback(lambda done: (tasks.discard(done), done.result()))
                await asyncio.sleep(interval)

    async def run_all():
        await asyncio.gather(*map(run, intervals))

    asyncio.run(run_all())


main(sys.argv[1:])
