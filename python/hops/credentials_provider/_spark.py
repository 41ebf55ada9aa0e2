"""The SparkContext of this process, if there is one: then its JVM holds the role, and this process follows."""

from __future__ import annotations

from ._source import Core, Fetched, Request


class Jvm:
    """The JVM of the SparkContext asks."""

    def fetch(self) -> Fetched:
        raise NotImplementedError

    def same(self, fetched: Fetched) -> Jvm:
        raise NotImplementedError

    def without_jvm(self) -> Core:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError


def driver(asked: Request) -> Jvm | None:
    return None


def explain(path: str) -> list[str]:
    return []
