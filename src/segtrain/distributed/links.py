"""Connections to other machines: a cut link is noticed in minutes."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

SILENCE = 120  # seconds without an answer of the other machine's kernel, after which a connection fails
IDLE, EVERY = 30, 15  # seconds until the first probe of an idle connection, and between probes


def watch_links() -> None:
    """Has every TCP connection of this process fail when its other side is gone (Linux).

    Else a receiver waits for ever and a sender for a quarter of an hour, for a switch that lost its power
    closes nothing. A machine's kernel answers probes while the ranks on it are busy.
    """
    if sys.platform != "linux":
        return
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # no socket, or closed in between
            _watch(int(entry.name))


def _watch(descriptor: int) -> None:
    """Raises OSError: no socket, or not of TCP."""
    opened = socket.socket(fileno=descriptor)
    try:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, EVERY)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, (SILENCE - IDLE) // EVERY)
        # Of what was sent and not acknowledged; the probes are for connections on which nothing is.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * SILENCE)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    finally:
        opened.detach()  # it stays its owner's
