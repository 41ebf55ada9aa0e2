"""The content of a database of any size, as `make bench-server` fills it by SQL."""

from __future__ import annotations

import dataclasses
import hashlib
import sqlite3
import subprocess
import time
from collections.abc import Iterator

#: The API key of the administrator.
ADMIN = "bench.admin"
#: The number of users who have an API key.
KEYS = 64


@dataclasses.dataclass(frozen=True)
class Size:
    """How much a database holds. Each project has as many mappings as there are for one."""

    name: str
    mappings: int
    projects: int
    users: int
    audit: int


def key_of(user: int) -> str:
    """Returns the API key of a user."""
    return f"key{user}.secret"


def sha256(text: str) -> str:
    """Returns the hash that the database keeps."""
    return hashlib.sha256(text.encode()).hexdigest()


def numbers(count: int) -> str:
    """Returns the SQL of a table `n(i)` with the numbers from 1 on."""
    return f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {count})"


def content(size: Size, indexes: dict[str, str]) -> Iterator[str]:
    """Yields the statements that fill an empty database. User and project of the same number belong together."""
    yield f"insert into users values (1000000, 'admin@example.org', 1, 'bench', '{sha256(ADMIN)}')"
    yield f"{numbers(size.users)} insert into users select i, 'user' || i || '@example.org', 0, 'key' || i, 'none' from n"
    for user in range(1, KEYS + 1):
        yield f"update users set key_hash = '{sha256(key_of(user))}' where id = {user}"
    yield f"{numbers(size.projects)} insert into projects select i, 'project-' || i from n"
    member = f"1 + (i - 1) % {size.projects}, i, case i % 2 when 0 then 'DATA_OWNER' else 'DATA_SCIENTIST' end"
    yield f"{numbers(size.users)} insert into members select {member} from n"
    yield (
        f"{numbers(size.mappings)} insert into role_mappings (id, project_id, project_role, role_arn, is_default) "
        f"select i, 1 + (i - 1) % {size.projects}, 'ALL', 'arn:aws:iam::123456789012:role/bench-' || i, "
        f"case when i <= {size.projects} then 1 else 0 end from n"
    )
    yield f"update counters set last = {max(size.mappings, size.users, size.projects)}"
    # An index made at the end takes a fraction of the time.
    yield from (f"drop index {name}" for name in indexes)
    yield audit_rows(size)
    yield from indexes.values()
    yield "analyze"


def audit_rows(size: Size) -> str:
    """Returns the statement that fills the audit: requests of all users, one a second up to now."""
    begin = int(time.time() * 1000) - 1000 * size.audit
    return (
        f"{numbers(size.audit)} insert into audit (id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, "
        "session_name, duration_seconds, access_key_id, sts_request_id) select 'row' || i, "
        f"{begin} + 1000 * cast(i as bigint), 'user' || (1 + i % {size.users}) || '@example.org', "
        f"'10.0.0.1', 'session-token', case when i % 50 = 0 then 'refused' else 'granted' end, 1 + i % {size.projects}, "
        f"'project-' || (1 + i % {size.projects}), 'arn:aws:iam::123456789012:role/bench-' || (1 + i % {size.mappings}), "
        f"'job-' || i, 3600, 'ASIA' || i, 'sts-' || i from n where i <= {size.audit}"
    )


def audit_indexes(database: str) -> dict[str, str]:
    """Returns the statements that make the indexes of the audit, by their names."""
    if database.startswith("sqlite://"):
        with sqlite3.connect(database.removeprefix("sqlite://")) as connection:
            sql = "select name, sql from sqlite_master where type = 'index' and tbl_name = 'audit' and sql is not null"
            return dict(connection.execute(sql).fetchall())
    sql = "select indexname, indexdef from pg_indexes where tablename = 'audit' and indexname <> 'audit_rows_key'"
    printed = subprocess.run(["psql", "-tA", "-F", "=", "-c", sql, database], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines())


def audit_scans(database: str) -> int:
    """Returns how often PostgreSQL has read the whole audit. SQLite does not count; a test there asks for the plans."""
    if database.startswith("sqlite://"):
        return 0
    sql = "select seq_scan from pg_stat_user_tables where relname = 'audit'"
    return int(subprocess.run(["psql", "-tA", "-c", sql, database], check=True, capture_output=True, text=True).stdout)
