"""`make release` gathers in dist/ what a release consists of. The same commit gives the same bytes, whatever the folder and the day.

Every date is that of the commit. The image is built without a container engine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rig import BUILD, MACHINES, ROOT
from rig.spark import version

DIST = ROOT / "dist"
#: The names of the machines in images.
IN_IMAGES = {"x86_64": "amd64", "aarch64": "arm64"}
#: What each bill of materials lists the crates of: the file that cargo-cyclonedx writes, and the artifact.
_BILLS = {
    "hops_credentials_cdylib.cdx.json": "hops-credentials-{}-jar.cdx.json",
    "crates/python/_native_cdylib.cdx.json": "hops-credentials-{}-wheel.cdx.json",
    "crates/cli/hops-credentials_bin.cdx.json": "hops-credentials-{}-command-line.cdx.json",
    "server/role-mapping-server_bin.cdx.json": "role-mapping-server-{}.cdx.json",
}


def _run(*command: str | Path, cwd: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **(variables or {})}, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def commit_seconds() -> str:
    """Returns the date of the commit, in seconds since 1970."""
    return _run("git", "log", "-1", "--format=%ct").strip()


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
            shutil.copy(program_file(program, machine), target)
            target.chmod(0o755)


def program_file(program: str, machine: str) -> Path:
    """Returns the static program that cargo has built."""
    return ROOT / "target" / f"{machine}-unknown-linux-musl" / "release" / program


def pack(folder: Path, archive: Path, *options: str) -> None:
    """Packs what a folder holds, in one order, with one owner and the date of the commit."""
    same = ("--sort=name", f"--mtime=@{commit_seconds()}", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX")
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
    shutil.copy(_certificates(), context / "cacert.pem")
    for machine in MACHINES:
        shutil.copy(program_file("role-mapping-server", machine), context / f"role-mapping-server-{IN_IMAGES[machine]}")
    for file in context.iterdir():
        file.chmod(0o644 if file.suffix == ".pem" else 0o755)
    policy = scratch / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    buildah: list[str | Path] = ["buildah", "--root", scratch / "root", "--runroot", scratch / "run", "--storage-driver", "vfs"]
    _run(*buildah, "manifest", "create", "server")
    for architecture in IN_IMAGES.values():
        build: list[str | Path] = [*buildah, "build", "-q", "--isolation", "chroot", "--timestamp", commit_seconds()]
        build += ["--platform", f"linux/{architecture}", "--build-arg", f"TARGETARCH={architecture}", "--manifest", "server"]
        _run(*build, "--signature-policy", policy, "-f", ROOT / "server" / "Containerfile", context)
    _run(*buildah, "manifest", "push", "-q", "--all", "--signature-policy", policy, "server", f"oci:{layout}:{release}")
    pack(layout, DIST / f"role-mapping-server-{release}-image.tar")


def _certificates() -> str:
    """Finds the authorities that Mozilla trusts, in the version that requirements.txt names."""
    return _run(sys.executable, "-c", "import certifi; print(certifi.where())").strip()


def make_bills(release: str) -> None:
    """Lists the crates in each artifact, as CycloneDX. There is nothing else in them but the standard libraries."""
    cyclonedx: list[str | Path] = [BUILD / "cyclonedx" / "bin" / "cargo-cyclonedx", "cyclonedx"]
    options = ["-qq", "--format", "json", "--spec-version", "1.5", "--describe", "binaries", "--no-build-deps", "--target", "all"]
    _run(*cyclonedx, *options, variables={"SOURCE_DATE_EPOCH": commit_seconds()})
    for written, name in _BILLS.items():
        file = ROOT / written
        # The folder of the checkout is in the references.
        (DIST / name.format(release)).write_text(file.read_text().replace(ROOT.as_uri(), "file:///hops-credentials"))
        file.unlink()


def write_checksums() -> None:
    """Writes SHA256SUMS, as `sha256sum --check` reads it."""
    files = sorted(DIST.iterdir())
    (DIST / "SHA256SUMS").write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))


def main() -> int:
    """Fills dist/ anew, and prints what is in it."""
    release, scratch = version(), BUILD / "release"
    for folder in (DIST, scratch):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    copy_built(release)
    make_chart(release, scratch)
    make_image(release, scratch)
    make_bills(release)
    write_checksums()
    shutil.rmtree(scratch)
    for file in sorted(DIST.iterdir()):
        print(f"{file.stat().st_size:>12,}  {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
