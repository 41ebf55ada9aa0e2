"""The SparkContext of this process, if there is one: then its JVM holds the role and keeps it fresh, and this process follows.

The jar is on the class path of the application, or the wheel brings it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from . import _errors
from ._errors import CloudCredentialError, NotConfiguredError, UnavailableError
from ._source import Fetched, NotRenewed, Request

_Builder = TypeVar("_Builder")


class Gone(UnavailableError):
    """The JVM has ended."""


class Jvm:
    """The JVM of the SparkContext asks, in the name of the application."""

    def __init__(self, jvm: Any, asked: Request) -> None:
        self._jvm = jvm
        self._asked = asked
        self._last = ""

    def fetch(self) -> Fetched:
        """At first assumes the role; then follows the JVM.

        Raises CloudCredentialError when there are no credentials, ValueError when no service would accept the request, NotRenewed when the
        JVM has no newer ones yet, Gone when it has ended.
        """
        with _exceptions_of_java(), _log_held_off():
            text = self._gateway().current() if self._last else self._gateway().assume(self._request())
        if text is None:
            raise NotConfiguredError("the JVM has released the role; call assume_role again")
        access_key_id, secret_access_key, session_token, expiration, role_arn, refresh_in = text.split("\n")
        if access_key_id == self._last:
            raise NotRenewed
        self._last = access_key_id
        ends = int(expiration) / 1000
        return Fetched(
            access_key_id,
            secret_access_key,
            session_token,
            ends,
            role_arn or None,
            ends - time.time(),
            refresh_in=int(refresh_in) / 1000,
        )

    def release(self) -> None:
        """Ends the use of the role on the JVM."""
        with _exceptions_of_java():
            self._jvm.io.hops.util.CredentialsProvider.release()

    def _gateway(self) -> Any:
        return self._jvm.io.hops.util.internal.PythonGateway

    def _request(self) -> Any:
        asked = self._asked
        request = self._jvm.io.hops.util.CredentialsProvider.AssumeRoleRequest.builder()
        request.setRoleArn(asked.role_arn).setRoleSessionName(asked.role_session_name)
        request.setDurationSeconds(asked.duration_seconds)
        request.setExternalId(asked.external_id).setPolicy(asked.policy).setSourceIdentity(asked.source_identity)
        for key, value in asked.tags:
            request.addTag(key, value)
        arns = context()._gateway.new_array(self._jvm.java.lang.String, len(asked.policy_arns))
        for index, arn in enumerate(asked.policy_arns):
            arns[index] = arn
        return request.setPolicyArns(arns)


def driver(asked: Request) -> Jvm | None:
    """The JVM that holds the role of this process; None when there is no SparkContext here.

    Raises NotConfiguredError when there is one that cannot be given a role.
    """
    active = context()
    if active is None:
        _refuse_connect()
        return None
    if not _is_there(active._jvm):
        _add_jar(active)
    return Jvm(active._jvm, asked)


def configure(builder: _Builder, made: Callable[[], None]) -> _Builder:
    """Lets the sessions that a `SparkSession.builder` makes have the jar which this wheel brings. Calls `made` after each.

    Raises NotConfiguredError when this wheel brings none.
    """
    options: dict[str, Any] = getattr(builder, "_options", {})
    jars = [name for name in str(options.get("spark.jars", "")).split(",") if name]
    configured: Any = builder.config("spark.jars", ",".join([*jars, str(_jar())]))  # type: ignore[attr-defined]
    make = configured.getOrCreate

    def get_or_create() -> Any:
        session = make()
        made()
        return session

    configured.getOrCreate = get_or_create
    return cast(_Builder, configured)


def explain(path: str) -> list[str]:
    """How S3A reads a path; without a path or a SparkContext, nothing."""
    active = context()
    if active is None or not path:
        return []
    if not _is_there(active._jvm):
        return ["Spark reads without a role of ours: the jar of hops-credentials is not on its class path"]
    with _exceptions_of_java():
        return str(active._jvm.io.hops.util.CredentialsProvider.explain(path)).splitlines()


def doctor() -> str | None:
    """What the JVM of the SparkContext finds; None without one, or without the jar."""
    active = context()
    if active is None or not _is_there(active._jvm):
        return None
    with _exceptions_of_java():
        return str(active._jvm.io.hops.util.CredentialsProvider.doctor())


def context() -> Any:
    """The active SparkContext, if pyspark has been imported and there is one. One that is still being made is none."""
    pyspark = sys.modules.get("pyspark")
    active = getattr(getattr(pyspark, "SparkContext", None), "_active_spark_context", None)
    return None if getattr(active, "_jsc", None) is None else active


def _is_there(jvm: Any) -> bool:
    # What py4j finds no class for, it takes for a package.
    return type(jvm.io.hops.util.internal.PythonGateway).__name__ == "JavaClass"


def _jar() -> Path:
    found = sorted((Path(__file__).parent / "jar").glob("*.jar"))
    if not found:
        raise NotConfiguredError(
            "this wheel was built without the jar that Spark needs; nothing has changed: build it with `make wheel`, or start Spark with "
            "--packages io.hops:hops-credentials"
        )
    return found[0]


def _add_jar(active: Any) -> None:
    """Brings the jar to a running application: to the driver here; the executors get it with the role."""
    jvm, jar = active._jvm, _jar()
    if type(jvm.io.hops.util.CredentialsProvider).__name__ == "JavaClass":
        raise NotConfiguredError(
            "the jar of hops-credentials on Spark's class path is older than this wheel; nothing has changed: use one version of both"
        )
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    if not loader.getClass().getName().endswith("MutableURLClassLoader"):
        raise NotConfiguredError(
            "the jar of hops-credentials is not on Spark's class path and cannot be added to this running application; nothing has "
            "changed: stop the session and make it with configure(SparkSession.builder)"
        )
    loader.addURL(jvm.java.io.File(str(jar)).toURI().toURL())


def _refuse_connect() -> None:
    module = sys.modules.get("pyspark.sql.connect.session")
    session = getattr(module, "SparkSession", None)
    if session is not None and (session.getActiveSession() is not None or session._default_session is not None):
        raise NotConfiguredError(
            "a Spark Connect session reads with the role that the operator of its server has set there (spark.hops.role), and a client "
            "cannot change it; nothing has changed: for this process alone use boto3_session, storage_options or "
            "polars_credential_provider"
        )


@contextmanager
def _exceptions_of_java() -> Iterator[None]:
    """An exception of ours becomes the one that Python has for it."""
    try:
        yield
    except Exception as error:
        # What py4j raises holds the Java exception; what pyspark makes of some of them, as their origin.
        origin = error if hasattr(error, "java_exception") else getattr(error, "_origin", None)
        thrown = getattr(origin, "java_exception", None) if isinstance(origin, Exception) else origin
        if thrown is not None:
            raise _exception(thrown) from None
        if isinstance(error, OSError) or type(error).__name__ == "Py4JNetworkError":
            raise Gone("the JVM of the SparkContext has ended; stop the session and make another one") from error
        raise


def _exception(thrown: Any) -> Exception:
    name, message = thrown.getClass().getName(), thrown.getMessage()
    if name == "java.lang.IllegalArgumentException":
        return ValueError(message)
    if name != "io.hops.util.exceptions.CloudCredentialException":
        return RuntimeError(f"{name}: {message}")
    # Without a kind, the JVM itself is in the way.
    exception: CloudCredentialError = getattr(_errors, f"{thrown.getKind() or 'CloudCredential'}Error")(message, thrown.getCode())
    return exception


class _OfThisThread(logging.Filter):
    """Lets nothing pass that a thread logs which holds the log off."""

    def __init__(self) -> None:
        super().__init__()
        self.held_off = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.held_off, "by_us", False)


_filter = _OfThisThread()


@contextmanager
def _log_held_off() -> Iterator[None]:
    """py4j logs at DEBUG what it sends and gets: not in this thread, for now."""
    for name in ("py4j.java_gateway", "py4j.clientserver"):
        logging.getLogger(name).addFilter(_filter)
    _filter.held_off.by_us = True
    try:
        yield
    finally:
        _filter.held_off.by_us = False
