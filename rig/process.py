"""Programs under supervision: each has an environment of its own, writes to a log, says that it is ready, and ends in every case."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn


class ProgramFailed(Exception):
    """A program ended or stayed silent before it was ready."""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Returns an environment with only the caller's PATH: without its AWS keys, settings of the product and home directory."""
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "AWS_EC2_METADATA_DISABLED": "true",
        # The doctor looks there all the same.
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
        **variables,
    }


def build_environment(**variables: str) -> dict[str, str]:
    """Returns the caller's environment for a build tool, whose caches and settings it names, without anything of AWS or the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "HOPS"))} | variables


def on_termination(leave: Callable[[], NoReturn]) -> None:
    """Makes SIGTERM call `leave`, which raises, so that every context manager on the stack ends its processes."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: leave())


class Program:
    """A running program in a process group of its own. Leaving the `with` block ends the whole group.

    Standard output and error go to `log`, line by line.
    """

    def __init__(self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str], directory: Path) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = dict(environment)
        self.directory = directory
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Program:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self.stop()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with open(self.log, "a", buffering=1) as log:
            for line in self.process.stdout:
                log.write(line)
                self._lines.put(line)
        self._lines.put(None)

    def await_line(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Waits for the next line that contains `pattern`."""
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                raise ProgramFailed(f"{self.command[0]} printed no line with {pattern!r} in {seconds} s, see {self.log}") from None
            if line is None:
                raise ProgramFailed(f"{self.command[0]} ended without a line with {pattern!r}:\n{self.log.read_text()[-2000:]}")
            if match := re.search(pattern, line):
                return match

    def stop(self) -> int:
        """Ends the program and everything that it started. Returns its exit code. May be called twice."""
        self._signal(signal.SIGTERM)
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(5)
        return code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    directory: Path,
    seconds: float = 300,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end. After `seconds`, or when interrupted, kills the program and everything that it started."""
    process = subprocess.Popen(
        [str(part) for part in command],
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
