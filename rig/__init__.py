"""The product's surroundings on one machine: an AWS that enforces IAM, instance metadata, the role-mapping server, Spark.

The demo and the tests run the same parts. Every server listens on loopback, on a port the system chose; every
process is a child of a context manager that ends it. Nothing here knows the product from the inside: it is used through its jar,
its command line and its REST contract.
"""

import os
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
#: Where everything that is made or fetched goes.
BUILD = ROOT / "build"
#: Whether the product is the one that `make demo` builds in a fraction of the time, instead of the one that users get.
IS_DEV = os.environ.get("RIG_BUILD") == "dev"
