"""Readers that this process has loaded, and what they know of credentials beside the environment."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

from ._source import LOG

#: What s3fs prefers to the environment, and to a session that it is given, where its caller names none of them.
_S3FS_KEYS = ("key", "secret", "token", "username", "password")
#: The protocols of s3fs.
_PROTOCOLS = ("s3", "s3a")
#: The arguments of s3fs that go on to the client of botocore.
_CLIENT = "client_kwargs"

#: What we have taken out of the configuration of fsspec: the place (see `_places`) and the name, and the value.
_taken_out: dict[tuple[tuple[str, ...], str], Any] = {}


def prepare() -> None:
    """Makes what is loaded look for the credentials of a role, and for no others. Raises nothing."""
    directory = os.environ.get("FSSPEC_CONFIG_DIR") or os.path.expanduser("~/.config/fsspec")
    if os.path.isdir(directory):
        _load_fsspec()
    for place, values in _places(_configured()):
        for name in filter(_is_preferred, list(values)):
            # In this order: whatever interrupts it loses nothing.
            _taken_out[place, name] = values[name]
            del values[name]
    _forget_sessions()


def give_back() -> None:
    """Puts back what `prepare` took out, unless somebody else has written since, and makes what is loaded look again. Raises nothing."""
    conf = _configured()
    # fsspec may have been loaded while the environment held less.
    for place, values in _places(_configured_by_variables()):
        for name in filter(_is_preferred, values):
            _taken_out.setdefault((place, name), values[name])
    for (place, name), value in list(_taken_out.items()):
        values = conf.setdefault(place[0], {})
        for part in place[1:]:
            values[part] = values = dict(values.get(part) or {})
        values.setdefault(name, value)
        del _taken_out[place, name]
    _forget_sessions()


def s3fs_options() -> dict[str, Any]:
    """Returns the arguments with which s3fs takes the credentials of its session, whatever fsspec is configured with, or will be again."""
    _load_fsspec()
    options: dict[str, Any] = {**dict.fromkeys(_S3FS_KEYS), "anon": False}
    taken = list(_taken_out)
    for place, values in _places(_configured()):
        taken += [(place, name) for name in values if _is_preferred(name)]
        if place[-1] == _CLIENT and any(known == place for known, _ in taken):
            options[_CLIENT] = {name: value for name, value in values.items() if not _is_preferred(name)}
    for place, _ in taken:
        if place[-1] == _CLIENT:
            options.setdefault(_CLIENT, {})
    return options


def _is_preferred(name: str) -> bool:
    """Returns whether s3fs prefers what the configuration of fsspec says under this name: other credentials, or none."""
    return name in (*_S3FS_KEYS, "profile", "anon") or name.startswith("aws_")


def _load_fsspec() -> None:
    """Loads the configuration of fsspec, to which variables and files lead then."""
    try:
        if importlib.util.find_spec("fsspec") is not None:
            importlib.import_module("fsspec.config")
    except Exception as error:
        LOG.warning("the configuration of fsspec cannot be read, so s3fs cannot be loaded: %r", error)


def _configured() -> dict[str, Any]:
    """Returns the configuration of fsspec, if it is loaded."""
    config: Any = sys.modules.get("fsspec.config")
    return getattr(config, "conf", {})


def _configured_by_variables() -> dict[str, Any]:
    """Returns what variables say in the configuration of fsspec now, if it is loaded."""
    configured: dict[str, Any] = {}
    config: Any = sys.modules.get("fsspec.config")
    if config is not None:
        try:
            config.set_conf_env(configured, os.environ)
        except Exception as error:
            LOG.warning("the variables of fsspec cannot be read: %r", error)
    return configured


def _places(configured: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yields where a configuration of fsspec may hold credentials for s3fs, and what it holds there."""
    for protocol in _PROTOCOLS:
        if protocol not in configured:
            continue
        values = configured[protocol]
        yield (protocol,), values
        if isinstance(values.get(_CLIENT), dict):
            # File systems that were made before hold the dictionary.
            values[_CLIENT] = dict(values[_CLIENT])
            yield (protocol, _CLIENT), values[_CLIENT]


def _forget_sessions() -> None:
    """Makes clients of boto3 and s3fs, if these are loaded, look for credentials again. boto3's default session keeps its region."""
    boto3: Any = sys.modules.get("boto3")
    if boto3 is not None and boto3.DEFAULT_SESSION is not None:
        region = boto3.DEFAULT_SESSION._session.instance_variables().get("region")
        boto3.DEFAULT_SESSION = None
        if region is not None:
            try:
                boto3.setup_default_session(region_name=region)
            except Exception as error:
                LOG.warning("the default session of boto3 loses its region %s: %s", region, error)
    s3fs: Any = sys.modules.get("s3fs")
    if s3fs is not None:
        s3fs.S3FileSystem.clear_instance_cache()
