"""The surroundings of the product on one machine: an AWS that enforces IAM, instance metadata, the role-mapping server, Spark.

The demo and the tests run the same parts. Every server listens on loopback, on a port that the system chooses; every
process is a child of a context manager that ends it. Nothing here knows the internals of the product: the rig uses its jar, its
command line and its REST contract.
"""

import os
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
#: The directory for everything that is built or fetched.
BUILD = ROOT / "build"
#: True for the jar that `make demo` builds in a fraction of the time, false for the one that users get.
IS_DEV = os.environ.get("RIG_BUILD") == "dev"
#: What users get is made for each of these machines, as Linux names them. Makefile and build.gradle hold the same list.
MACHINES = ("x86_64", "aarch64")


def static_program(name: str, machine: str = os.uname().machine) -> Path:
    """Returns a program that users get, as Makefile builds it."""
    return ROOT / "target" / f"{machine}-unknown-linux-musl" / "release" / name
