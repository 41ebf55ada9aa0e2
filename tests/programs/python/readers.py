"""Readers of S3, each made once and used through many lifetimes of the role's credentials. Runs in a venv with the wheel and the readers.

`make DIRECTORY` writes the files that they read. `read MODE SECONDS READER...` assumes the default role, and reports for each reader how
often it read and what went wrong. Each reader finds credentials by itself: at an endpoint, or in the environment. In the mode `provided` no
role is assumed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ENDPOINT = os.environ.get("S3", "")
REGION = "us-east-1"
CSV = "1,one\n2,two\n3,three\n"


def _boto3() -> Callable[[], object]:
    import boto3

    client = boto3.client("s3")
    return lambda: client.get_object(Bucket="resource", Key="test.csv")["Body"].read() == CSV.encode()


def _s3fs() -> Callable[[], object]:
    import s3fs

    files = s3fs.S3FileSystem()
    return lambda: files.cat("resource/test.csv") == CSV.encode()


def _pandas_csv() -> Callable[[], object]:
    import pandas

    return lambda: len(pandas.read_csv("s3://resource/test.csv", header=None)) == 3


def _pandas_parquet() -> Callable[[], object]:
    import pandas

    return lambda: len(pandas.read_parquet("s3://resource/table.parquet")) == 3


def _pyarrow() -> Callable[[], object]:
    from pyarrow.fs import S3FileSystem

    files = S3FileSystem(endpoint_override=ENDPOINT, region=REGION)

    def read() -> bool:
        with files.open_input_stream("resource/test.csv") as stream:
            return bool(stream.read() == CSV.encode())

    return read


def _pyarrow_dataset() -> Callable[[], object]:
    import pyarrow.dataset

    return lambda: pyarrow.dataset.dataset("s3://resource/table.parquet").count_rows() == 3


def _polars() -> Callable[[], object]:
    import polars

    return lambda: len(polars.scan_parquet("s3://resource/table.parquet").collect()) == 3


def _polars_alone() -> Callable[[], object]:
    import polars

    return lambda: len(polars.scan_parquet("s3://resource/table.parquet", credential_provider=None).collect()) == 3


def _obstore() -> Callable[[], object]:
    import obstore
    from obstore.store import S3Store

    store = S3Store("resource", client_options={"allow_http": True})
    return lambda: bytes(obstore.get(store, "test.csv").bytes()) == CSV.encode()


def _obstore_with_current() -> Callable[[], object]:
    import obstore
    from hops.credentials_provider import current
    from obstore.store import S3Store

    def provide() -> dict[str, object]:
        now = current()
        assert now is not None
        return {
            "access_key_id": now.access_key_id,
            "secret_access_key": now.secret_access_key,
            "token": now.session_token,
            "expires_at": now.expiration,
        }

    store = S3Store("resource", credential_provider=provide, client_options={"allow_http": True}, region=REGION)
    return lambda: bytes(obstore.get(store, "test.csv").bytes()) == CSV.encode()


def _deltalake() -> Callable[[], object]:
    import deltalake

    table = deltalake.DeltaTable("s3://resource/delta")

    def read() -> bool:
        table.update_incremental()
        return len(table.to_pyarrow_table()) == 3

    return read


def _duckdb() -> Callable[[], object]:
    import duckdb
    from duckdb_extensions import import_extension

    import_extension("httpfs")
    import_extension("aws")
    connection = duckdb.connect()
    connection.execute("load httpfs; load aws")
    connection.execute(
        "create secret (type s3, provider credential_chain, refresh auto, endpoint '"
        + ENDPOINT.removeprefix("http://")
        + f"', use_ssl false, url_style 'path', region '{REGION}')"
    )
    return lambda: connection.execute("select count(*) from 's3://resource/test.csv'").fetchone() == (3,)


def _smart_open() -> Callable[[], object]:
    import smart_open

    def read() -> bool:
        with smart_open.open("s3://resource/test.csv") as stream:
            return bool(stream.read() == CSV)

    return read


def _awscli() -> Callable[[], object]:
    command = [sys.executable, "-m", "awscli", "s3", "cp", "s3://resource/test.csv", "-"]
    due = 0.0

    def read() -> bool:
        # Starting a process takes a second, so not every turn starts one.
        nonlocal due
        if time.monotonic() < due:
            return True
        due = time.monotonic() + 3
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.stdout != CSV:
            raise RuntimeError(done.stderr)
        return True

    return read


def _tensorflow() -> Callable[[], object]:
    import tensorflow
    import tensorflow_io  # noqa: F401

    return lambda: tensorflow.io.gfile.GFile("s3://resource/test.csv").read() == CSV


def _datasets() -> Callable[[], object]:
    import datasets

    def read() -> bool:
        rows = datasets.load_dataset("parquet", data_files="s3://resource/table.parquet", split="train", streaming=True)
        return len(list(rows)) == 3

    return read


def _workers() -> None:
    """Starts a worker of Dask, a process of its own."""
    import distributed

    distributed.Client(distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None))


def _dask() -> Callable[[], object]:
    import dask.dataframe

    _workers()
    return lambda: len(dask.dataframe.read_csv("s3://resource/test.csv", header=None).compute()) == 3


def _torch_client() -> Callable[[], object]:
    from s3torchconnectorclient._mountpoint_s3_client import MountpointS3Client

    # What PyTorch's s3torchconnector reads with.
    client = MountpointS3Client(region=REGION, user_agent_prefix="readers", endpoint=ENDPOINT, force_path_style=True)
    return lambda: b"".join(client.get_object("resource", "test.csv")) == CSV.encode()


READERS: dict[str, Callable[[], Callable[[], object]]] = {
    "boto3": _boto3,
    "s3fs": _s3fs,
    "pandas-csv": _pandas_csv,
    "pandas-parquet": _pandas_parquet,
    "pyarrow": _pyarrow,
    "pyarrow-dataset": _pyarrow_dataset,
    "polars": _polars,
    "polars-alone": _polars_alone,
    "obstore": _obstore,
    "obstore+current": _obstore_with_current,
    "deltalake": _deltalake,
    "duckdb": _duckdb,
    "smart-open": _smart_open,
    "awscli": _awscli,
    "datasets": _datasets,
    "dask": _dask,
    "s3torchconnectorclient": _torch_client,
    "tensorflow": _tensorflow,
}


def _boto3_session() -> Callable[[], object]:
    from hops.credentials_provider import boto3_session

    client = boto3_session().client("s3")
    return lambda: client.get_object(Bucket="resource", Key="test.csv")["Body"].read() == CSV.encode()


def _s3fs_with_options() -> Callable[[], object]:
    import s3fs
    from hops.credentials_provider import storage_options

    files = s3fs.S3FileSystem(**storage_options())
    return lambda: files.cat("resource/test.csv") == CSV.encode()


def _pandas_with_options() -> Callable[[], object]:
    import pandas
    from hops.credentials_provider import storage_options

    options = storage_options()
    return lambda: len(pandas.read_csv("s3://resource/test.csv", header=None, storage_options=options)) == 3


def _polars_with_provider() -> Callable[[], object]:
    import polars
    from hops.credentials_provider import polars_credential_provider

    provider = polars_credential_provider()
    return lambda: len(polars.scan_parquet("s3://resource/table.parquet", credential_provider=provider).collect()) == 3


def _smart_open_with_client() -> Callable[[], object]:
    import smart_open
    from hops.credentials_provider import boto3_session

    client = boto3_session().client("s3")

    def read() -> bool:
        with smart_open.open("s3://resource/test.csv", transport_params={"client": client}) as stream:
            return bool(stream.read() == CSV)

    return read


def _dask_with_options() -> Callable[[], object]:
    import dask.dataframe
    from hops.credentials_provider import storage_options

    _workers()
    options = storage_options()
    return lambda: len(dask.dataframe.read_csv("s3://resource/test.csv", header=None, storage_options=options).compute()) == 3


#: Readers that take a callable of ours, and need no environment.
PROVIDERS: dict[str, Callable[[], Callable[[], object]]] = {
    "boto3_session": _boto3_session,
    "s3fs+options": _s3fs_with_options,
    "pandas+options": _pandas_with_options,
    "polars+provider": _polars_with_provider,
    "smart-open+client": _smart_open_with_client,
    "dask+options": _dask_with_options,
}


def _make(directory: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"number": [1, 2, 3], "word": ["one", "two", "three"]})
    pyarrow.parquet.write_table(table, directory / "table.parquet")
    try:
        import deltalake
    except ImportError:
        return
    deltalake.write_deltalake(directory / "delta", table)


def play(names: list[str], seconds: float) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Makes each reader once, and reads with all of them for so long. Returns how often each read, and what went wrong."""
    readers = {name: (READERS | PROVIDERS)[name]() for name in names}
    reads = dict.fromkeys(names, 0)
    failed: dict[str, list[str]] = {name: [] for name in names}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, read in readers.items():
            reads[name] += 1
            try:
                if not read():
                    failed[name].append("read something else")
            except Exception as error:
                failed[name].append(f"{type(error).__name__}: {error}"[:300])
        time.sleep(0.1)
    return reads, failed


def _read(mode: str, seconds: float, names: list[str]) -> None:
    if mode != "provided":
        from hops.credentials_provider import assume_role

        assume_role(refresh=mode == "endpoint")
    reads, failed = play(names, seconds)
    print("report", "reads", json.dumps(reads), sep="\t")
    print("report", "failed", json.dumps(failed), sep="\t", flush=True)
    # Some readers abort when the interpreter ends.
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        _make(Path(sys.argv[2]))
    else:
        _read(sys.argv[2], float(sys.argv[3]), sys.argv[4:])
