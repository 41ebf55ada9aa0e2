"""What `make release` makes: complete, the same from every folder, and an image that starts from nothing but its own root."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from rig import BUILD, MACHINES, ROOT
from rig.process import Program, build_environment, environment, run
from rig.spark import version
from runs.release import DIST, IN_IMAGES
from tests.product.test_chart import NEEDED

pytestmark = [pytest.mark.everywhere, pytest.mark.platform("Release: complete, and the same from two folders")]

_IMAGE = f"role-mapping-server-{version()}-image.tar"


def _sums(dist: Path) -> dict[str, str]:
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_release_is_complete_and_its_checksums_hold() -> None:
    jar, wheel, server = f"hops-credentials-{version()}", f"hops_credentials-{version()}", f"role-mapping-server-{version()}"
    expected = {f"{jar}{end}" for end in (".jar", ".pom", "-sources.jar", "-javadoc.jar")}
    expected |= {f"{wheel}-cp39-abi3-manylinux2014_{machine}.manylinux_2_17_{machine}.whl" for machine in MACHINES} | {f"{wheel}.tar.gz"}
    expected |= {f"{program}-linux-{machine}" for program in (jar, server) for machine in MACHINES}
    expected |= {_IMAGE, f"{server}.tgz", f"{server}.cdx.json"}
    expected |= {f"{jar}-{artifact}.cdx.json" for artifact in ("jar", "wheel", "command-line")}

    assert set(_sums(DIST)) == expected
    assert {name: hashlib.sha256((DIST / name).read_bytes()).hexdigest() for name in expected} == _sums(DIST)
    assert {path.name for path in DIST.iterdir()} == {*expected, "SHA256SUMS"}


def _named(artifact: Path, scratch: Path) -> set[str]:
    """Returns the crates whose source files an artifact names in its messages."""
    files = [artifact]
    if zipfile.is_zipfile(artifact):
        with zipfile.ZipFile(artifact) as archive:
            files = [Path(archive.extract(name, scratch)) for name in archive.namelist() if name.endswith(".so")]
    found = {match for file in files for match in re.findall(rb"/cargo/crates/([\w-]+?)-(\d+\.\d+\.\d+[^/]*)/", file.read_bytes())}
    return {b"@".join(each).decode() for each in found}


@pytest.mark.parametrize(
    ("file", "artifacts", "number", "without"),
    [
        ("hops-credentials-{}-jar", "hops-credentials-{}.jar", 1, {"pyo3", "sqlx", "clap"}),
        ("hops-credentials-{}-wheel", "hops_credentials-{}-*.whl", 2, {"jni", "sqlx"}),
        ("hops-credentials-{}-command-line", "hops-credentials-{}-linux-*", 2, {"jni", "pyo3", "sqlx"}),
        ("role-mapping-server-{}", "role-mapping-server-{}-linux-*", 2, {"jni", "pyo3", "sqlx-mysql"}),
    ],
)
def test_a_list_of_crates_names_those_in_the_artifact_with_licences_and_no_others(
    file: str, artifacts: str, number: int, without: set[str], tmp_path: Path
) -> None:
    text = (DIST / f"{file.format(version())}.cdx.json").read_text()
    content = json.loads(text)
    listed = {f"{each['name']}@{each['version']}" for each in content["components"]}
    found = list(DIST.glob(artifacts.format(version())))
    assert len(found) == number
    for artifact in found:
        named = _named(artifact, tmp_path)
        assert len(named) > 20, artifact
        assert named - listed == set(), artifact

    assert [crate for crate in listed if re.match(r"(windows|wasm|js-sys|core-foundation|syn|serde_derive)\b", crate)] == []
    assert {crate.split("@")[0] for crate in listed} & without == set()
    assert [each["name"] for each in content["components"] if not each.get("licenses")] == []
    references = {content["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in content["components"])}
    assert {other for each in content["dependencies"] for other in [each["ref"], *each.get("dependsOn", [])]} == references
    assert str(ROOT) not in text


def test_the_chart_has_the_version_of_the_release(tmp_path: Path) -> None:
    chart = DIST / f"role-mapping-server-{version()}.tgz"
    helm: list[str | Path] = [
        BUILD / "helm" / "bin" / "helm",
        "template",
        "roles",
        chart,
        "--kube-version",
        "1.31",
        "--set",
        ",".join(NEEDED),
    ]
    done = run(helm, environment(tmp_path / "home"), tmp_path, 60)

    assert done.returncode == 0, done.stderr
    (deployment,) = (each for each in yaml.safe_load_all(done.stdout) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.org/server:{version()}"
    assert deployment["metadata"]["labels"]["helm.sh/chart"] == f"role-mapping-server-{version()}"


def _unpacked(architecture: str, root: Path, scratch: Path) -> dict[str, Any]:
    """Unpacks the image for a machine into `root`. Returns its configuration."""
    source = f"oci-archive:{DIST / _IMAGE}"
    copy = ["skopeo", "--insecure-policy", "copy", "-q", "--override-arch", architecture, source, f"dir:{scratch}"]
    done = run(copy, build_environment(), root, 60)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((scratch / "manifest.json").read_text())
    for layer in manifest["layers"]:
        with tarfile.open(scratch / layer["digest"].removeprefix("sha256:")) as archive:
            archive.extractall(root, filter="tar")
    image = json.loads((scratch / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    assert image["architecture"] == architecture
    config = image["config"]
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize("machine", MACHINES)
def test_the_image_starts_from_its_own_root_as_its_own_user(machine: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    config = _unpacked(IN_IMAGES[machine], root, tmp_path / "layers")
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == ["etc/ssl/certs/ca-certificates.crt", "role-mapping-server"]
    authorities = root / files[0]
    assert authorities.read_text().count("BEGIN CERTIFICATE") > 100
    assert authorities.stat().st_mode & 0o777 == 0o644
    assert config["User"] == "65532:65532"

    (root / "data").mkdir()
    os.chown(root / "data", *map(int, config["User"].split(":")))
    command = [*config["Entrypoint"], *config["Cmd"], "--listen", "127.0.0.1:0", "--database", "sqlite:///data/roles.db"]
    if machine != os.uname().machine:
        shutil.copy(f"/usr/bin/qemu-{machine}-static", root / "emulator")
        command = ["/emulator", *command]
    start: list[str | Path] = ["env", "-i", shutil.which("chroot") or "/usr/sbin/chroot", f"--userspec={config['User']}", root, *command]
    with Program(start, tmp_path / "server.log", environment(tmp_path / "home"), tmp_path) as server:
        endpoint = server.await_line(r"^listening on (http://127\.0\.0\.1:\d+)$")[1]
        with urllib.request.urlopen(f"{endpoint}/readyz", timeout=10) as answer:
            assert answer.status == 200


def test_another_folder_gives_the_same_release(tmp_path: Path) -> None:
    """Builds everything a second time, which takes twenty minutes."""
    copy = tmp_path / "copy"
    # Under another mask, too.
    for command in (f"git clone -q {ROOT} copy", "umask 077; make -C copy release"):
        done = run(["sh", "-c", command], build_environment(), tmp_path, 7200)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    assert _sums(copy / "dist") == _sums(DIST)
    shutil.rmtree(copy)
