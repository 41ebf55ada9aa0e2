"""Readers that this process has loaded, and what they know of credentials beside the environment."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

#: What s3fs prefers to the environment, and to a session that it is given, where its caller names none of them.
S3FS_KEYS = ("key", "secret", "token", "username", "password")
#: What s3fs prefers where the configuration of fsspec holds it.
_CONFIGURED = (*S3FS_KEYS, "profile")

#: What we have taken out of the configuration of fsspec: the protocol and the name, and the value.
_taken_out: dict[tuple[str, str], Any] = {}


def prepare() -> None:
    """Makes what is loaded look for the credentials of a role, and for no others."""
    for protocol, values in _fsspec_configuration():
        for name in _CONFIGURED:
            if name in values:
                _taken_out[protocol, name] = values.pop(name)
    _forget_sessions()


def give_back() -> None:
    """Puts back what `prepare` took out, unless somebody else has written since, and makes what is loaded look again."""
    for protocol, values in _fsspec_configuration():
        for name in _CONFIGURED:
            if (protocol, name) in _taken_out:
                values.setdefault(name, _taken_out.pop((protocol, name)))
    _forget_sessions()


def _fsspec_configuration() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the configuration of each protocol of s3fs. Variables and files lead to it when fsspec is loaded."""
    config: Any = sys.modules.get("fsspec.config")
    if config is None:
        directory = os.environ.get("FSSPEC_CONFIG_DIR") or os.path.expanduser("~/.config/fsspec")
        if not os.path.isdir(directory) or importlib.util.find_spec("fsspec") is None:
            return
        config = importlib.import_module("fsspec.config")
    for protocol in ("s3", "s3a"):
        if protocol in config.conf:
            yield protocol, config.conf[protocol]


def _forget_sessions() -> None:
    """Makes clients of boto3 and s3fs, if these are loaded, look for credentials again. boto3's default session keeps its region."""
    boto3: Any = sys.modules.get("boto3")
    if boto3 is not None and boto3.DEFAULT_SESSION is not None:
        region = boto3.DEFAULT_SESSION._session.instance_variables().get("region")
        boto3.DEFAULT_SESSION = None
        if region is not None:
            boto3.setup_default_session(region_name=region)
    s3fs: Any = sys.modules.get("s3fs")
    if s3fs is not None:
        s3fs.S3FileSystem.clear_instance_cache()
