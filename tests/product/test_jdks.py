"""The tests in JUnit on every JDK on which Spark runs. `make test` runs them on 17 and 25 without pytest."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from rig import BUILD, ROOT, jdk
from rig.process import build_environment, run
from rig.root import DEBIAN_11, DEBIAN_13, SID, Root


def _on(java: int, root: Root | None) -> ParameterSet:
    return pytest.param(java, root, marks=pytest.mark.platform(f"JDK {java}"), id=f"JDK {java}")


@pytest.mark.everywhere
@pytest.mark.parametrize(("java", "root"), [_on(8, SID), _on(11, DEBIAN_11), _on(17, None), _on(21, DEBIAN_13), _on(25, None)])
def test_every_test_in_junit_passes(java: int, root: Root | None, tmp_path: Path) -> None:
    home = root.java_home(java) if root else jdk.home(java)
    caches = Path(os.environ.get("GRADLE_USER_HOME", Path.home() / ".gradle"))
    command = root.command([home / "bin" / "java"], also=[caches]) if root else [str(home / "bin" / "java")]
    launcher = tmp_path / "java"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    launcher.chmod(0o755)
    gradle = ["timeout", "580", "gradle", "--no-daemon", "--console=plain", "-q"]

    with open(BUILD / "junit.lock", "w") as lock:
        # Gradle writes the log and the classes of the tests where it does so for every JDK.
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(
            [*gradle, "consoleTest", "-x", "cargo", f"-Pjava={launcher}", *(["-Pjava8"] if java == 8 else [])],
            build_environment(JAVA_HOME=str(jdk.home(17))),
            ROOT,
            600,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"\[\s*(\d+) tests successful\s*\]", done.stdout)
    assert passed and int(passed[1]) > 100
