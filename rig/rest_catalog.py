"""A stand-in for a REST catalog of Iceberg: serves the tables of a JDBC catalog, and vends keys for them in each form.

Source of the forms: Apache Iceberg REST Catalog API. Only what is asked for a read is answered.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rig.http import Answering, serving

#: The first part of the path says where the keys stand: nowhere, in the configuration, beside a table, for a prefix of its files, or behind
#: an address that is asked again in time.
FORMS = ("none", "config", "table", "prefix", "refreshed")


@contextmanager
def rest_catalog(database: Path, s3: Any, vended: Mapping[str, str]) -> Iterator[str]:
    """Runs the catalog for the length of the `with` block. Yields its endpoint, below which lies a catalog for each of `FORMS`."""

    class Catalog(Answering):
        """One request."""

        def do_HEAD(self) -> None:
            """Says that a namespace is there, and that a view is not."""
            self.answer(404 if "views" in self.path else 204, b"")

        def do_POST(self) -> None:
            """Takes metrics."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(204, b"")

        def do_GET(self) -> None:
            """Answers a question for the configuration, a namespace or a table."""
            form, _, *parts = self.path.split("?")[0].strip("/").split("/")
            if parts == ["config"]:
                self._found({"defaults": {}, "overrides": dict(vended) if form == "config" else {}})
            elif parts == ["credentials"]:
                self._found({"storage-credentials": [{"prefix": "s3", "config": dict(vended)}]})
            elif parts[0] == "namespaces" and len(parts) == 2:
                self._found({"namespace": [parts[1]], "properties": {}})
            elif parts[0] == "namespaces" and parts[2] == "tables" and (location := _location(database, parts[3])):
                self._found(_table(s3, location, form, vended))
            else:
                problem = {"message": f"{self.path} is not here", "type": "NoSuchTableException", "code": 404}
                self.answer(404, json.dumps({"error": problem}).encode())

        def _found(self, answer: Mapping[str, Any]) -> None:
            self.answer(200, json.dumps(answer).encode())

    with serving(Catalog) as endpoint:
        yield endpoint


def _location(database: Path, table: str) -> str | None:
    with sqlite3.connect(database) as names:
        found = names.execute("SELECT metadata_location FROM iceberg_tables WHERE table_name = ?", (table,)).fetchone()
    return found and str(found[0])


def _table(s3: Any, location: str, form: str, vended: Mapping[str, str]) -> dict[str, Any]:
    bucket, key = location.split("://", 1)[1].split("/", 1)
    answer: dict[str, Any] = {"metadata-location": location, "metadata": json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])}
    if form == "table":
        answer["config"] = dict(vended)
    if form == "refreshed":
        answer["config"] = {"client.refresh-credentials-endpoint": "v1/credentials"}
    if form == "prefix":
        answer["storage-credentials"] = [{"prefix": "s3", "config": dict(vended)}]
    return answer
