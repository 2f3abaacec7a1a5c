"""No HTTP: lines over TLS without ALPN: lines.py first|last HOST PORT LINES. `first` says its first line before it has read the
server's greeting; `last` waits for it."""
import socket
import ssl
import sys

MODE, HOST, PORT, LINES = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
with context.wrap_socket(socket.create_connection((HOST, PORT))) as tls:
    assert tls.selected_alpn_protocol() is None
    heard = tls.makefile("rb")
    if MODE == "last":
        assert heard.readline().startswith(b"220 ")
    for i in range(LINES):
        # As short as a frame's header, and longer.
        line = b"x" * (i % 40) + b"\r\n"
        tls.sendall(line)
        if MODE == "first" and i == 0:
            assert heard.readline().startswith(b"220 ")
        assert heard.readline() == b"250 " + line
