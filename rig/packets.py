"""What travels over loopback, read from its packets. Needs the rights of root."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

# Constants of Linux that Python does not name.
_EVERY_PROTOCOL = 3
_RECEIVE_BUFFER_FORCE = 33
_LEVEL_OF_PACKETS = 263
_STATISTICS = 6
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
            while True:
                try:
                    packet = wire.recv(1 << 17)[_HEADER_OF_ETHERNET:]
                except TimeoutError:
                    # Nothing is left of what came before the end.
                    if ended.is_set():
                        return
                    continue
                if packet[0] >> 4 == 4 and packet[9] == _TCP:
                    segment = packet[(packet[0] & 15) * 4 :]
                    if not ports.intersection(struct.unpack("!HH", segment[:4])):
                        seen.append(segment[(segment[12] >> 4) * 4 :])

        with ThreadPoolExecutor() as threads:
            recorded = threads.submit(record)
            try:
                yield seen
            finally:
                ended.set()
                recorded.result()
        _, dropped = struct.unpack("II", wire.getsockopt(_LEVEL_OF_PACKETS, _STATISTICS, 8))
        if dropped:
            raise RuntimeError(f"the kernel dropped {dropped} packets, so nothing is known of them")
