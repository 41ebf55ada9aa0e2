"""The program `hops-credentials`."""

from __future__ import annotations

import signal
import sys

from . import _native


def main() -> None:
    """Runs the command line of this process and exits. Signals do to it, and to its command, what they do to any other program."""
    # Undoes what Python sets at its start, but for SIGPIPE: the runtime of Rust ignores that one too, and gives commands the
    # default. It leaves SIGINT alone where that is ignored, as in `program &` of a script.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.command_line(sys.argv))
