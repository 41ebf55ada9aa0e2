"""The wheel beside hops-util-py, whose `hops.credentials_provider` it replaces: installed and removed in any order."""

from __future__ import annotations

import sys
from pathlib import Path

from rig import BUILD
from rig.process import build_environment, environment, run

#: The name of hops-util-py on PyPI.
_ORIGINAL = "hops==3.8.0.0"
_WHERE = "import hops.credentials_provider as found; print(found.__file__)"
_OURS, _THEIRS = "hops/credentials_provider/__init__.py", "hops/credentials_provider.py"
_PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]


def test_the_replacement_is_found_whatever_was_installed_first_and_leaves_the_original_whole(tmp_path: Path) -> None:
    venv, home = tmp_path / "venv", tmp_path / "home"
    python = venv / "bin" / "python"

    def pip(*arguments: str | Path) -> None:
        done = run([*_PIP, *arguments], build_environment(), tmp_path, 120)
        assert done.returncode == 0, done.stderr

    def install(wheel: Path) -> None:
        pip("--python", python, "install", "--no-deps", "--no-compile", wheel)

    def remove(name: str) -> None:
        pip("--python", python, "uninstall", "-y", name)

    def found() -> str:
        done = run([python, "-c", _WHERE], environment(home), tmp_path, 30)
        # The import of theirs fails, since its dependencies are missing; the traceback names its file.
        return next((name for name in (_OURS, _THEIRS) if name in done.stdout + done.stderr), done.stderr)

    # Theirs is plain Python. Its dependencies are not installed.
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, _ORIGINAL)
    (ours,), (theirs,) = (BUILD / "wheel" / "dev").glob("*.whl"), tmp_path.glob("*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", venv], build_environment(), tmp_path, 60)

    install(ours)
    assert found() == _OURS, "alone"
    assert run([venv / "bin" / "hops-credentials", "--version"], environment(home), tmp_path, 30).returncode == 0
    install(theirs)
    assert found() == _OURS, "ours, then theirs"
    remove("hops-credentials")
    assert found() == _THEIRS, "ours removed"
    install(ours)
    assert found() == _OURS, "theirs, then ours"
    remove("hops")
    assert found() == _OURS, "theirs removed"
    remove("hops-credentials")
    assert "ModuleNotFoundError: No module named 'hops" in found()
