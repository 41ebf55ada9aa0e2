"""The SparkContext of this process: while there is one, its JVM holds the role and keeps it fresh, and this process follows.

The jar of hops-credentials is on the class path of the application, or this wheel brings it. All names of Java stand in this module.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from . import _native
from ._errors import BadAnswerError, CloudCredentialError, NotConfiguredError, RefusedError, UnavailableError
from ._source import LOG, Fetched, NativeSource, NotRenewed, Request, Source, SourceGone
from ._spark_jars import configured_jars

_Builder = TypeVar("_Builder")

#: The exceptions of this package, by the name of Java's `CloudCredentialException.Kind`.
_KINDS: dict[str, type[CloudCredentialError]] = {
    "NOT_CONFIGURED": NotConfiguredError,
    "REFUSED": RefusedError,
    "UNAVAILABLE": UnavailableError,
    "BAD_ANSWER": BadAnswerError,
}
#: The exception in which the jar says who can act, and the one for an argument that no service would accept.
_CREDENTIAL_EXCEPTION = "io.hops.util.exceptions.CloudCredentialException"
_ARGUMENT_EXCEPTION = "java.lang.IllegalArgumentException"
#: The variable that marks what was issued.
_ISSUED = "HOPS_CREDENTIALS_ISSUED"
#: The variables that functions bring to their workers while no role is in use, by SparkContext.
_environments: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


class JvmSource(Source):
    """The JVM of the SparkContext, which holds the role of the application, or of some of its buckets."""

    def __init__(self, jvm: Any, asked: Request, buckets: tuple[str, ...] = ()) -> None:
        self._jvm = jvm
        self._asked = asked
        #: Those that it holds the role for; none when it is that of the application.
        self._buckets = buckets
        self._has_assumed = False

    def fetch(self, held: str = "") -> Fetched:
        """Assumes the role at first, and follows the JVM from then on."""
        with _java_exceptions(), _log_held_off():
            gateway = _gateway(self._jvm)
            if not self._has_assumed:
                self._hand_over_base(gateway)
            text = gateway.current() if self._has_assumed else gateway.assume(self._request())
            if not self._buckets:
                _lead_workers()
        self._has_assumed = True
        if text is None:
            raise NotConfiguredError("the JVM has released the role; call assume_role again")
        access_key_id, secret_access_key, session_token, expiration, role_arn, refresh_in = text.split("\n")
        if access_key_id == held:
            raise NotRenewed
        self._asked = self._asked.pinned_to(role_arn)
        expires_at = int(expiration) / 1000
        return Fetched(
            access_key_id,
            secret_access_key,
            session_token,
            expires_at,
            role_arn or None,
            expires_at - time.time(),
            refresh_in=int(refresh_in) / 1000,
        )

    def mode(self, local_mode: str) -> str:
        return f"{local_mode} with Spark"

    def successor(self, fetched: Fetched) -> tuple[Source, _native.Endpoint | None]:
        del fetched
        return NativeSource(self._asked, context()), None

    def after_fork(self, context: object) -> Source:
        return NativeSource(self._asked, context)

    def release(self) -> None:
        with suppress(SourceGone), _java_exceptions():
            _facade(self._jvm).release()
        if (active := context()) is not None:
            active.environment = _environments.pop(active, active.environment)

    def give_way(self, before: Source | None) -> Fetched | None:
        if self._buckets:
            # They keep it until `release`: to end one role in the JVM is to end all.
            return None
        if isinstance(before, JvmSource):
            try:
                before._has_assumed = False
                return before.fetch()
            except Exception as error:
                LOG.warning("Spark cannot go back to the role that was in use, so it has none: %s", error)
        self.release()
        return None

    def resume(self, buckets: tuple[str, ...]) -> None:
        """Gives buckets their role again, after the end of another role has ended theirs."""
        self._buckets = buckets
        self._has_assumed = False
        try:
            self.fetch()
        except Exception as error:
            LOG.warning("Spark cannot go back to the role of %s, so these buckets have none: %s", ", ".join(self._buckets), error)

    def _hand_over_base(self, gateway: Any) -> None:
        """Tells a JVM that this process started under a role, in use or released since, what its environment is without it."""
        mark = self._jvm.java.lang.System.getenv(_ISSUED)
        if mark is not None:
            gateway.inherit(self._texts([text for change in _native.values_without_us(mark) for text in change]))

    def _texts(self, texts: Sequence[str | None]) -> Any:
        array = context()._gateway.new_array(self._jvm.java.lang.String, len(texts))
        for index, text in enumerate(texts):
            array[index] = text
        return array

    def _request(self) -> Any:
        asked = self._asked
        request = _facade(self._jvm).AssumeRoleRequest.builder()
        request.setRoleArn(asked.role_arn).setRoleSessionName(asked.role_session_name)
        request.setDurationSeconds(asked.duration_seconds)
        request.setExternalId(asked.external_id).setPolicy(asked.policy).setSourceIdentity(asked.source_identity)
        for key, value in asked.tags:
            request.addTag(key, value)
        if self._buckets:
            request.forBucket(self._texts(self._buckets))
        return request.setPolicyArns(self._texts(asked.policy_arns))


def driver(asked: Request, buckets: tuple[str, ...] = ()) -> JvmSource | None:
    """Returns the JVM that is to hold the role of this process, or of some buckets; None when there is no SparkContext.

    Raises NotConfiguredError when there is one that cannot hold a role.
    """
    active = context()
    if active is None:
        return None
    if not _has_jar(active._jvm):
        _add_jar(active)
    return JvmSource(active._jvm, asked, buckets)


def configure(builder: _Builder, made: Callable[[], None]) -> _Builder:
    """Gives the jar of this wheel to the sessions that a `SparkSession.builder` makes, beside their other jars. Calls `made` after each.

    Raises NotConfiguredError when this wheel has no jar.
    """
    own = str(_jar())
    options: dict[str, Any] = getattr(builder, "_options", {})
    jars = str(options["spark.jars"]).split(",") if options.get("spark.jars") else configured_jars()
    configured: Any = builder.config("spark.jars", ",".join(dict.fromkeys([*jars, own])))  # type: ignore[attr-defined]
    make = configured.getOrCreate

    def get_or_create() -> Any:
        session = make()
        made()
        return session

    configured.getOrCreate = get_or_create
    return cast(_Builder, configured)


def explain(path: str) -> list[str]:
    """Returns how S3A reads a path, a line each; nothing without a path or a SparkContext."""
    active = context()
    if active is None or not path:
        return []
    if not _has_jar(active._jvm):
        return ["Spark reads without a role of ours: the jar of hops-credentials is not on its class path"]
    with _java_exceptions():
        return str(_facade(active._jvm).explain(path)).splitlines()


def doctor() -> str | None:
    """Returns what the JVM of the SparkContext finds; None without one, or without the jar."""
    active = context()
    if active is None or not _has_jar(active._jvm):
        return None
    with _java_exceptions():
        return str(_facade(active._jvm).doctor())


def context() -> Any:
    """Returns the active SparkContext; None without pyspark, or while a SparkContext is still being made."""
    pyspark = sys.modules.get("pyspark")
    active = getattr(getattr(pyspark, "SparkContext", None), "_active_spark_context", None)
    return None if getattr(active, "_jsc", None) is None else active


def active_session() -> Any:
    """Returns the session of Spark SQL that pyspark holds for active, as the JVM knows it; None without one.

    Asks no JVM: a signal handler may call this while its thread waits for an answer on the connection that both would use.
    """
    module = sys.modules.get("pyspark.sql.session")
    return getattr(getattr(getattr(module, "SparkSession", None), "_activeSession", None), "_jsparkSession", None)


@contextmanager
def activated(session: Any) -> Iterator[None]:
    """Makes a session the active one of this thread of the JVM, whose confs count in what it says of a role. There may be no session."""
    active = context()
    if session is None or active is None:
        yield
        return
    sessions = active._jvm.org.apache.spark.sql.SparkSession
    before = None
    # Nothing but a warning depends on it.
    with suppress(Exception):
        before = sessions.getActiveSession()
        sessions.setActiveSession(session)
    try:
        yield
    finally:
        # Others may use the thread: now, where Python's threads share it, or later.
        with suppress(Exception):
            if before is not None and before.isDefined():
                sessions.setActiveSession(before.get())
            else:
                sessions.clearActiveSession()


def _lead_workers() -> None:
    """Makes functions that are made from now on make their workers follow the role, until `release`."""
    active = context()
    if active is not None and active not in _environments:
        given = active.environment
        led = active._jvm.io.hops.util.spark.WorkerVariables.of(given)
        if led is not None:
            _environments[active] = given
            active.environment = led


def _facade(jvm: Any) -> Any:
    return jvm.io.hops.util.CredentialsProvider


def _gateway(jvm: Any) -> Any:
    return jvm.io.hops.util.python.PythonGateway


def _has_jar(jvm: Any) -> bool:
    return _is_class(_gateway(jvm))


def _is_class(member: Any) -> bool:
    # py4j takes a name without a class for a package.
    return type(member).__name__ == "JavaClass"


def _jar() -> Path:
    found = sorted((Path(__file__).parent / "jar").glob("*.jar"))
    if not found:
        raise NotConfiguredError(
            "this wheel was built without the jar that Spark needs; nothing has changed: build it with `make wheel`, or start Spark with "
            "--packages io.hops:hops-credentials"
        )
    return found[0]


def _add_jar(active: Any) -> None:
    """Adds the jar to the driver of a running application. The executors get it with the role."""
    jvm, jar = active._jvm, _jar()
    if _is_class(_facade(jvm)):
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


def refuse_connect() -> None:
    """Raises NotConfiguredError when this process has a session of Spark Connect, whose server holds the role."""
    module = sys.modules.get("pyspark.sql.connect.session")
    session = getattr(module, "SparkSession", None)
    if session is not None and (session.getActiveSession() is not None or session._default_session is not None):
        raise NotConfiguredError(
            "a Spark Connect session reads with the role that the operator of its server has set there (spark.hops.role), and a client "
            "cannot change it; nothing has changed: for this process alone use boto3_session, storage_options or "
            "polars_credential_provider"
        )


@contextmanager
def _java_exceptions() -> Iterator[None]:
    """Raises the exception of this package that corresponds to a Java exception."""
    try:
        yield
    except Exception as error:
        # An exception of py4j holds the Java exception; one of pyspark holds that of py4j or of Java as its origin.
        origin = error if hasattr(error, "java_exception") else getattr(error, "_origin", None)
        thrown = getattr(origin, "java_exception", None) if isinstance(origin, Exception) else origin
        if thrown is not None:
            raise _exception(thrown) from None
        if isinstance(error, OSError) or type(error).__name__ == "Py4JNetworkError":
            raise SourceGone("the JVM of the SparkContext has ended; stop the session and make another one") from error
        raise


def _exception(thrown: Any) -> Exception:
    name, message = thrown.getClass().getName(), thrown.getMessage()
    if name == _ARGUMENT_EXCEPTION:
        return ValueError(message)
    if name != _CREDENTIAL_EXCEPTION:
        return RuntimeError(f"{name}: {message}")
    # Every other kind says that the JVM itself is the obstacle.
    kind = _KINDS.get(thrown.getKind().name(), CloudCredentialError)
    error = kind(message, thrown.getCode())
    error._withdraws = thrown.isWithdrawal()
    return error


class _ThreadFilter(logging.Filter):
    """Drops what a thread logs while it holds the log off."""

    def __init__(self) -> None:
        super().__init__()
        self.held_off = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.held_off, "by_us", False)


_filter = _ThreadFilter()


@contextmanager
def _log_held_off() -> Iterator[None]:
    """Keeps py4j from logging, at DEBUG, the secrets that this thread sends and gets."""
    for name in ("py4j.java_gateway", "py4j.clientserver"):
        logging.getLogger(name).addFilter(_filter)
    _filter.held_off.by_us = True
    try:
        yield
    finally:
        _filter.held_off.by_us = False
