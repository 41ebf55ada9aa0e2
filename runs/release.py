"""`make release` gathers in dist/ what a release consists of. The same commit gives the same bytes, whatever the folder and the day.

The dates are that of the commit. The image is built without a container engine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi

from rig import BUILD, MACHINES, ROOT, static_program
from rig.spark import version

DIST = ROOT / "dist"
#: The date of the commit, in seconds since 1970, which Makefile sets for all tools.
SECONDS = os.environ.get("SOURCE_DATE_EPOCH", "")
#: The names of the machines in images.
IN_IMAGES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclasses.dataclass(frozen=True)
class Listed:
    """An artifact whose crates are listed: the file that cargo-cyclonedx writes, that of the release, the package and the C library."""

    written: str
    name: str
    package: str
    library: str


_LISTED = (
    Listed("hops_credentials_cdylib.cdx.json", "hops-credentials-{}-jar.cdx.json", "hops-credentials", "gnu"),
    Listed("crates/python/_native_cdylib.cdx.json", "hops-credentials-{}-wheel.cdx.json", "hops-credentials-python", "gnu"),
    Listed("crates/cli/hops-credentials_bin.cdx.json", "hops-credentials-{}-command-line.cdx.json", "hops-credentials-cli", "musl"),
    Listed("server/role-mapping-server_bin.cdx.json", "role-mapping-server-{}.cdx.json", "role-mapping-server", "musl"),
)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def copy_built(release: str) -> None:
    """Copies what other targets have built: jars and pom, wheels and sources, programs."""
    published = BUILD / "repo" / "io" / "hops" / "hops-credentials" / release
    built = [*published.glob(f"hops-credentials-{release}*.jar"), published / f"hops-credentials-{release}.pom"]
    built += [wheel for machine in MACHINES for wheel in (BUILD / "wheel" / machine).glob("*.whl")]
    built.append(BUILD / "wheel" / f"hops_credentials-{release}.tar.gz")
    for file in built:
        shutil.copy(file, DIST)
    for machine in MACHINES:
        for program in ("hops-credentials", "role-mapping-server"):
            target = DIST / f"{program}-{release}-linux-{machine}"
            shutil.copy(static_program(program, machine), target)
            target.chmod(0o755)


def pack(folder: Path, archive: Path, *options: str) -> None:
    """Packs what a folder holds, in one order, with one owner and the date of the commit."""
    same = ("--sort=name", f"--mtime=@{SECONDS}", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
    _run("tar", *same, "--format=ustar", *options, "-cf", archive, "-C", folder, *sorted(each.name for each in folder.iterdir()))


def make_chart(release: str, scratch: Path) -> None:
    """Packs the Helm chart with the version of the release. Helm's own packer writes the date of today."""
    charts = scratch / "charts"
    chart = charts / "role-mapping-server"
    shutil.copytree(ROOT / "server" / "helm" / "role-mapping-server", chart)
    about = chart / "Chart.yaml"
    about.write_text(about.read_text().replace("0.0.0", release))
    pack(charts, DIST / f"role-mapping-server-{release}.tgz", "--use-compress-program=gzip -n -9")


def make_image(release: str, scratch: Path) -> None:
    """Builds the image of the server for both machines, as one archive of the OCI layout."""
    context, layout = scratch / "context", scratch / "layout"
    context.mkdir()
    shutil.copy(certifi.where(), context / "cacert.pem")
    for machine in MACHINES:
        shutil.copy(static_program("role-mapping-server", machine), context / f"role-mapping-server-{IN_IMAGES[machine]}")
    for file in context.iterdir():
        file.chmod(0o644 if file.suffix == ".pem" else 0o755)
    policy = scratch / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    buildah: list[str | Path] = ["buildah", "--root", scratch / "root", "--runroot", scratch / "run", "--storage-driver", "vfs"]
    _run(*buildah, "manifest", "create", "server")
    for architecture in IN_IMAGES.values():
        build: list[str | Path] = [*buildah, "build", "-q", "--isolation", "chroot", "--identity-label=false", "--timestamp", SECONDS]
        build += ["--platform", f"linux/{architecture}", "--build-arg", f"TARGETARCH={architecture}", "--manifest", "server"]
        _run(*build, "--signature-policy", policy, "-f", ROOT / "server" / "Containerfile", context)
    _run(*buildah, "manifest", "push", "-q", "--all", "--signature-policy", policy, "server", f"oci:{layout}:{release}")
    pack(layout, DIST / f"role-mapping-server-{release}-image.tar")


def list_crates(release: str) -> None:
    """Lists the crates in each artifact, as CycloneDX."""
    cyclonedx: list[str | Path] = [BUILD / "cyclonedx" / "bin" / "cargo-cyclonedx", "cyclonedx"]
    options = ["-qq", "--format", "json", "--spec-version", "1.5", "--describe", "binaries", "--no-build-deps", "--target", "all"]
    try:
        _run(*cyclonedx, *options)
        for listed in _LISTED:
            # The folder of the checkout is in the references.
            content = json.loads((ROOT / listed.written).read_text().replace(ROOT.as_uri(), "file:///hops-credentials"))
            (DIST / listed.name.format(release)).write_text(json.dumps(_only_linked(content, listed), indent=1) + "\n")
    finally:
        for listed in _LISTED:
            (ROOT / listed.written).unlink(missing_ok=True)


def _only_linked(content: dict[str, Any], listed: Listed) -> dict[str, Any]:
    """Leaves out of a list what cargo-cyclonedx takes from the lock file: crates of other systems, databases and compilers."""
    linked: set[str] = set()
    for machine in MACHINES:
        target = f"{machine}-unknown-linux-{listed.library}"
        options = ["-e", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}", "--target", target]
        tree = _run("cargo", "tree", "--locked", "-p", listed.package, *options)
        linked |= {"@".join(line.split()[:2]).replace("@v", "@") for line in tree.splitlines()}
    kept = [each for each in content["components"] if f"{each['name']}@{each['version']}" in linked]
    references = {content["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in kept)}
    edges = [
        {**each, **({"dependsOn": [other for other in each["dependsOn"] if other in references]} if "dependsOn" in each else {})}
        for each in content["dependencies"]
        if each["ref"] in references
    ]
    return {**content, "components": kept, "dependencies": edges}


def write_checksums() -> None:
    """Writes SHA256SUMS, as `sha256sum --check` reads it."""
    files = sorted(DIST.iterdir())
    (DIST / "SHA256SUMS").write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))


def main() -> int:
    """Writes dist/ anew, and prints the name and size of each file."""
    release, scratch = version(), BUILD / "release"
    for folder in (DIST, scratch):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    copy_built(release)
    make_chart(release, scratch)
    make_image(release, scratch)
    list_crates(release)
    write_checksums()
    shutil.rmtree(scratch)
    for file in sorted(DIST.iterdir()):
        print(f"{file.stat().st_size:>12,}  {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
