"""What travels over loopback, read from its packets. Needs the rights of root."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

# Constants of Linux that Python does not name.
_EVERY_PROTOCOL = 3
_RECEIVE_BUFFER_FORCE = 33
_HEADER_OF_ETHERNET = 14
_TCP = 6


@contextmanager
def recording_packets(without: Collection[str]) -> Iterator[list[bytes]]:
    """Yields a list that gets the data of each packet of TCP, but for those to and from these endpoints of HTTP."""
    ports = {urlsplit(endpoint).port for endpoint in without}
    seen: list[bytes] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, 256 << 20)
        wire.bind(("lo", 0))
        wire.settimeout(0.2)
        ended = threading.Event()

        def record() -> None:
            while not ended.is_set():
                try:
                    packet = wire.recv(1 << 17)[_HEADER_OF_ETHERNET:]
                except TimeoutError:
                    continue
                if packet[0] >> 4 == 4 and packet[9] == _TCP:
                    segment = packet[(packet[0] & 15) * 4 :]
                    if not ports.intersection(struct.unpack("!HH", segment[:4])):
                        seen.append(segment[(segment[12] >> 4) * 4 :])

        thread = threading.Thread(target=record)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()
