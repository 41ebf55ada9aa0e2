"""Helm as a library: no registry has its program, and to compile that takes three minutes of processor time.

`python -m rig.helm lint CHART` and `python -m rig.helm template CHART [NAME=VALUE…]` print what Helm answers. They run as programs: Go's
runtime, which comes with the library, keeps threads and handlers of signals in its process.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from ctypes import Structure, c_char_p, c_int
from pathlib import Path
from urllib.parse import urlencode

from rig import BUILD


class _Lint(Structure):
    """`struct LintOptions` of the header that lies beside the library."""

    _fields_ = (("path", c_char_p), ("strict", c_int), ("quiet", c_int))


class _Template(Structure):
    """`struct TemplateOptions` of that header."""

    _fields_ = (
        *((name, c_char_p) for name in ("name", "version", "chart", "namespace", "kube_version")),
        *((name, c_int) for name in ("dependency_update", "skip_crds")),
        *((name, c_char_p) for name in ("values", "set_files", "values_files", "cert_file", "key_file", "ca_file")),
        *((name, c_int) for name in ("insecure_skip_tls_verify", "plain_http")),
        ("keyring", c_char_p),
        ("debug", c_int),
        ("repository_config", c_char_p),
    )


class _Result(Structure):
    """What a function returns: `out` is its answer, `err` what is wrong; the other is null."""

    _fields_ = (("out", c_char_p), ("err", c_char_p), ("stdout", c_char_p), ("stderr", c_char_p))


def _call(function: str, options: Structure) -> str:
    """Raises ValueError with what Helm says is wrong."""
    (path,) = (BUILD / "helm").glob("*.so")
    called = getattr(ctypes.CDLL(str(path)), function)
    called.restype = _Result
    result = called(ctypes.byref(options))
    if result.err:
        raise ValueError(result.err.decode())
    return (result.out or b"").decode()


def lint(chart: Path) -> str:
    """Returns what `helm lint --strict` says of a chart. Raises ValueError with it if the chart has a fault."""
    said = _call("Lint", _Lint(path=bytes(chart), strict=1))
    if "Failed: false" not in said:
        raise ValueError(said)
    return said


def template(chart: Path, values: list[str]) -> str:
    """Returns the objects that `helm template roles CHART --set VALUE…` makes for Kubernetes 1.31, as YAML.

    Raises ValueError for values that the chart refuses.
    """
    sets = urlencode([value.partition("=")[::2] for value in values])
    options = _Template(name=b"roles", chart=bytes(chart), namespace=b"role-mapping", kube_version=b"1.31", values=sets.encode())
    return _call("Template", options)


def main() -> int:
    """Returns 1 if Helm finds a fault, and prints it as an error."""
    parser = argparse.ArgumentParser(prog="python -m rig.helm")
    parser.add_argument("command", choices=("lint", "template"))
    parser.add_argument("chart", type=Path)
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE")
    called = parser.parse_args()
    try:
        print(lint(called.chart) if called.command == "lint" else template(called.chart, called.values))
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
