"""The program `hops-credentials`."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> None:
    """Runs the command line of this process and exits. Signals end it as they end any other program; an ignored SIGINT stays ignored."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Python itself ignores it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(_native.command_line(sys.argv))
