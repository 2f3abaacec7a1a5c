"""Counts the frames of recorded connections with hyperframe: oracle.py FOLDER NUMBER.

FOLDER holds 0.sent, 0.received, 1.sent ...; prints one JSON object per connection, in a list."""
import collections
import json
import pathlib
import sys

from hyperframe.frame import ExtensionFrame, Frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NAMES = {
    "DataFrame": "data",
    "HeadersFrame": "headers",
    "PriorityFrame": "priority",
    "RstStreamFrame": "rst_stream",
    "SettingsFrame": "settings",
    "PushPromiseFrame": "push_promise",
    "PingFrame": "ping",
    "GoAwayFrame": "goaway",
    "WindowUpdateFrame": "window_update",
    "ContinuationFrame": "continuation",
}


def count(data):
    """One direction. ALTSVC and others that hyperframe knows beyond RFC 9113 are `unknown`."""
    if data.startswith(PREFACE):
        data = data[len(PREFACE):]
    view = memoryview(data)
    frames = collections.Counter()
    streams = set()
    at = 0
    while at + 9 <= len(view):
        frame, length = Frame.parse_frame_header(view[at:at + 9], strict=False)
        if at + 9 + length > len(view):
            break
        name = "unknown" if isinstance(frame, ExtensionFrame) else NAMES.get(type(frame).__name__, "unknown")
        frames[name] += 1
        if name == "headers" and frame.stream_id % 2 == 1:
            streams.add(frame.stream_id)
        at += 9 + length
    return {"frames": dict(frames), "streams": len(streams), "rest": len(view) - at}


def main():
    folder = pathlib.Path(sys.argv[1])
    counted = []
    for i in range(int(sys.argv[2])):
        ways = {way: count((folder / f"{i}.{way}").read_bytes()) for way in ("sent", "received")}
        counted.append(ways)
    print(json.dumps(counted))


main()
