"""`make readers` prints a table of every reader of S3 we know, each through five real lifetimes.

Four scenes run at once. Behind the endpoint: one as users have it, one under a service account's identity (IRSA), and one under a profile.
With credentials in the environment: one under a profile. These identities could read the bucket themselves, and must never sign.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from rig import BUILD, ROOT
from rig.aws import ACCOUNT, REGION, allow, reads
from rig.deployment import Deployment, deployment
from rig.http import Recorder, recording
from rig.process import environment, on_termination, run
from rig.spark import reports
from runs.soak import LIFE_SECONDS, shortening
from tests.programs.python.readers import PROVIDERS, READERS

#: Five lifetimes, and the beginning of a sixth.
SECONDS = 5 * LIFE_SECONDS + 2
SCENES = ("plain", "web identity", "profile", "environment")
#: The readers that do not follow a renewal in the environment. A worker of Dask has the environment that it started with.
STOPPING = ("obstore", "deltalake", "s3torchconnectorclient", "dask")
PROGRAM = ROOT / "tests" / "programs" / "python" / "readers.py"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one scene: how often each reader read, what went wrong, and who signed."""

    scene: str
    reads: Mapping[str, int]
    failed: Mapping[str, list[str]]
    signers: set[str | None]
    output: str


@contextmanager
def short_lived(site: Deployment) -> Iterator[Deployment]:
    """Runs a server whose sessions last seconds. Yields the deployment with this server."""
    with shortening(site.sts, Counter()) as sts:
        server = dataclasses.replace(site.server, variables={**site.server.variables, "AWS_ENDPOINT_URL_STS": sts})
        with server.serve() as (endpoint, _):
            yield dataclasses.replace(site, endpoint=endpoint)


def fill(site: Deployment, venv: Path, directory: Path) -> None:
    """Puts the files that the readers read besides `test.csv` into bucket `resource`."""
    made = directory / "made"
    made.mkdir()
    done = run([venv / "bin" / "python", PROGRAM, "make", made], environment(directory / "home"), directory)
    assert done.returncode == 0, done.stderr
    client = site.cloud.aws.client("s3")
    for file in (path for path in made.rglob("*") if path.is_file()):
        client.put_object(Bucket="resource", Key=str(file.relative_to(made)), Body=file.read_bytes())


def others(site: Deployment, directory: Path) -> dict[str, dict[str, str]]:
    """Returns, for each scene, the variables of an identity that may read the bucket itself."""
    aws = site.cloud.aws
    federated = allow(
        Principal={"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com"}, Action="sts:AssumeRoleWithWebIdentity"
    )
    pod = aws.role("pod", federated, reads("resource"))
    parts = ({"alg": "none"}, {"iss": "https://idp.example.com", "sub": "job", "aud": "sts.amazonaws.com"})
    token = directory / "token"
    token.write_text(".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln")
    stranger = aws.user("of-profile", reads("resource"))
    config = directory / "config"
    config.write_text(
        f"[profile stranger]\naws_access_key_id = {stranger.access_key_id}\naws_secret_access_key = {stranger.secret_access_key}\n"
    )
    return {
        "plain": {},
        "web identity": {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_ROLE_ARN": pod,
            "AWS_ROLE_SESSION_NAME": "pod",
            "AWS_ENDPOINT_URL_STS": aws.endpoint,
        },
        "profile": {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "stranger"},
        "environment": {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "stranger"},
    }


def play(site: Deployment, venv: Path, readers: Sequence[str], directory: Path) -> list[Outcome]:
    """Plays all scenes at once."""
    scenes = others(site, directory)
    with ThreadPoolExecutor(len(scenes)) as threads:
        return list(threads.map(lambda scene: _play(site, venv, readers, directory / scene, scenes[scene]), SCENES))


def _play(site: Deployment, venv: Path, readers: Sequence[str], directory: Path, variables: Mapping[str, str]) -> Outcome:
    scene = directory.name
    mode = scene if scene in ("environment", "provided") else "endpoint"
    command: list[str | Path] = [venv / "bin" / "python", "-X", "faulthandler", PROGRAM, "read", mode, str(SECONDS), *readers]
    with recording(site.cloud.aws.endpoint) as s3:
        done = run(
            command, environment(directory / "home", **site.variables(site.scientist), **reader_endpoints(s3), **variables), directory
        )
    assert done.returncode == 0, done.stdout + done.stderr
    found = reports(done.stdout)
    counted, failed = found["reads"], found["failed"]
    assert isinstance(counted, dict) and isinstance(failed, dict)
    return Outcome(scene, counted, failed, {exchange.access_key_id for exchange in s3.exchanges}, done.stdout + done.stderr)


def reader_endpoints(s3: Recorder) -> dict[str, str]:
    """Returns the variables by which each reader finds the emulator. None concerns credentials."""
    return {
        "S3": s3.endpoint,
        "S3_ENDPOINT": s3.endpoint,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # object_store asks the metadata service whatever AWS_EC2_METADATA_DISABLED says.
        "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9",
    }


def provide(site: Deployment, venv: Path, directory: Path) -> Outcome:
    """Plays the readers that take a callable, with somebody else's keys in the environment."""
    stranger = site.cloud.aws.user("in-environment", reads("resource"))
    return _play(site, venv, list(PROVIDERS), directory / "provided", stranger.variables())


def issued_for(site: Deployment, role: str, since: int) -> set[str]:
    """Returns the access key ids that STS issued for a role."""
    bodies = (exchange.body for exchange in site.sts.exchanges[since:] if f"assumed-role/{role}/" in exchange.body)
    return {match for body in bodies for match in re.findall("<AccessKeyId>([^<]+)<", body)}


def main() -> int:
    """Prints the tables. Returns 0 if and only if no read failed and nobody else signed."""
    good = True
    # TensorFlow needs older versions of packages that the others need too.
    others = [name for name in READERS if name != "tensorflow"]
    for venv, readers in ((BUILD / "readers-venv", others), (BUILD / "tensorflow-venv", ["tensorflow"])):
        with tempfile.TemporaryDirectory() as name, deployment(Path(name)) as site, short_lived(site) as short:
            fill(short, BUILD / "readers-venv", Path(name))
            good = _show(short, readers, play(short, venv, readers, Path(name))) and good
            if readers is others:
                good = _show(short, list(PROVIDERS), [provide(short, venv, Path(name))]) and good
    return int(not good)


def _show(site: Deployment, readers: Sequence[str], outcomes: Sequence[Outcome]) -> bool:
    """Prints a table. Returns whether no read failed and nobody else signed."""
    print(f"{'reader':<20}" + "".join(f"{outcome.scene:<28}" for outcome in outcomes))
    for reader in readers:
        cells = (f"{outcome.reads[reader]} reads, {len(outcome.failed[reader])} failed" for outcome in outcomes)
        print(f"{reader:<20}" + "".join(f"{cell:<28}" for cell in cells), flush=True)
    failures = {
        f"{outcome.scene}, {reader}: {error}"
        for outcome in outcomes
        for reader, errors in outcome.failed.items()
        if outcome.scene != "environment" or reader not in STOPPING
        for error in errors[:3]
    }
    print(*sorted(failures), sep="\n", file=sys.stderr)
    strangers = {signer for outcome in outcomes for signer in outcome.signers} - issued_for(site, "resource-reader", 0) - {None}
    print(f"others who signed: {len(strangers)}\n")
    return not failures and not strangers


if __name__ == "__main__":
    on_termination(lambda: sys.exit("readers: ended by SIGTERM"))
    sys.exit(main())
