"""Counts the frames of recorded connections with hyperframe: oracle.py FOLDER NUMBER.

FOLDER holds 0.sent, 0.received, 1.sent ...; prints one JSON object per connection, in a list."""
import collections
import json
import pathlib
import sys

from hyperframe.frame import ExtensionFrame, Frame, SettingsFrame

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
# RFC 9113, section 6.5.2.
INITIAL = {"initial_window_size": 65535, "max_frame_size": 16384, "max_concurrent_streams": None}
SETTINGS = {
    SettingsFrame.INITIAL_WINDOW_SIZE: "initial_window_size",
    SettingsFrame.MAX_FRAME_SIZE: "max_frame_size",
    SettingsFrame.MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
}


def parse(data):
    """The frames of one direction, each with its name and its payload's length, and the bytes behind the last whole one. ALTSVC
    and others that hyperframe knows beyond RFC 9113 are `unknown`."""
    if data.startswith(PREFACE):
        data = data[len(PREFACE):]
    view = memoryview(data)
    frames = []
    at = 0
    while at + 9 <= len(view):
        frame, length = Frame.parse_frame_header(view[at:at + 9], strict=False)
        if at + 9 + length > len(view):
            break
        name = "unknown" if isinstance(frame, ExtensionFrame) else NAMES.get(type(frame).__name__, "unknown")
        if name in ("settings", "goaway", "window_update"):
            frame.parse_body(view[at + 9:at + 9 + length])
        frames.append((name, frame, length))
        at += 9 + length
    return frames, len(view) - at


def values(frames):
    """What one direction says in fixed fields, in the names of h2watch's JSON."""
    said = {"data_bytes": 0, "window_granted_bytes": 0, "pings": 0, "ping_acks": 0, "resets": 0, "goaway": None, "settings": None}
    for name, frame, length in frames:
        if name == "data":
            said["data_bytes"] += length
        elif name == "window_update" and frame.stream_id == 0:
            said["window_granted_bytes"] += frame.window_increment
        elif name == "ping":
            said["ping_acks" if "ACK" in frame.flags else "pings"] += 1
        elif name == "rst_stream":
            said["resets"] += 1
        elif name == "goaway":
            said["goaway"] = {"last_stream": frame.last_stream_id, "code": frame.error_code}
        elif name == "settings" and "ACK" not in frame.flags:
            said["settings"] = said["settings"] or dict(INITIAL)
            for identifier, value in frame.settings.items():
                if identifier in SETTINGS:
                    said["settings"][SETTINGS[identifier]] = value
    return said


def count(frames, rest):
    names = collections.Counter(name for name, _, _ in frames)
    streams = {frame.stream_id for name, frame, _ in frames if name == "headers" and frame.stream_id % 2 == 1}
    return {"frames": dict(names), "streams": len(streams), "rest": rest, "values": values(frames)}


def marked(frames, mark):
    return {frame.stream_id for _, frame, _ in frames if mark in frame.flags}


def open_streams(sent, received):
    """RFC 9113, section 5.1: a stream is closed when both sides ended it, or one of them reset it."""
    def of(frames, wanted):
        return {frame.stream_id for name, frame, _ in frames if name == wanted}

    opened = {stream for stream in of(sent, "headers") if stream % 2 == 1}
    closed = marked(sent, "END_STREAM") & marked(received, "END_STREAM")
    in_flight = opened - closed - of(sent, "rst_stream") - of(received, "rst_stream")
    return {"in_flight": len(in_flight), "without_answer": len(in_flight - of(received, "headers"))}


def main():
    folder = pathlib.Path(sys.argv[1])
    exchanges = []
    for i in range(int(sys.argv[2])):
        sent, received = (parse((folder / f"{i}.{way}").read_bytes()) for way in ("sent", "received"))
        exchanges.append({"sent": count(*sent), "received": count(*received), **open_streams(sent[0], received[0])})
    print(json.dumps(exchanges))


main()
