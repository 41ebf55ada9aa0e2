"""The artifacts that users get: their size, what they hold and what not, and that two builds are the same."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rig import BUILD, MACHINES, ROOT, jdk
from rig.process import build_environment, environment, run
from rig.spark import product_jar, version

MEGABYTE = 1_000_000


#: The oldest glibc on which everything that is shipped runs: that of RHEL 7, and of manylinux2014.
OLDEST_GLIBC = (2, 17)
#: What `readelf` calls each machine.
IN_READELF = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}
C_LIBRARY = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
each_machine = pytest.mark.parametrize("machine", MACHINES)


def _unpacked(archive: Path, name: str, directory: Path) -> Path:
    with zipfile.ZipFile(archive) as opened:
        return Path(opened.extract(name, directory))


def _library(machine: str, directory: Path) -> Path:
    return _unpacked(product_jar(), f"native/linux-{machine}/libhops_credentials.so", directory)


def _readelf(option: str, file: Path, pattern: str) -> set[str]:
    done = run(["readelf", "--wide", option, str(file)], build_environment(), ROOT, 60)
    assert done.returncode == 0, done.stderr
    return set(re.findall(pattern, done.stdout, re.MULTILINE))


def _newest_glibc(file: Path) -> tuple[int, ...]:
    """Returns the version of the newest function of glibc that a library needs."""
    return max(tuple(map(int, version.split("."))) for version in _readelf("--version-info", file, r"Name: GLIBC_([\d.]+)"))


def _exported(file: Path) -> set[str]:
    return _readelf("--dyn-syms", file, r" (?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)$")


def places(content: bytes) -> list[Path]:
    """Returns the directories of this machine that the content of a file names."""
    return [place for place in (ROOT, Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))) if bytes(place) in content]


def test_the_jar_has_a_library_for_each_machine() -> None:
    with zipfile.ZipFile(product_jar()) as archive:
        libraries = {name for name in archive.namelist() if name.endswith(".so")}
    assert libraries == {f"native/linux-{machine}/libhops_credentials.so" for machine in MACHINES}


@each_machine
def test_the_library_needs_nothing_newer_than_glibc_2_17(machine: str, tmp_path: Path) -> None:
    library = _library(machine, tmp_path)
    assert _readelf("--file-header", library, r"Machine: +(.+)$") == {IN_READELF[machine]}
    assert _newest_glibc(library) <= OLDEST_GLIBC
    assert _readelf("--dynamic", library, r"\(NEEDED\).*\[(.+)\]") <= C_LIBRARY


@each_machine
def test_the_library_exports_only_its_entrance(machine: str, tmp_path: Path) -> None:
    assert _exported(_library(machine, tmp_path)) == {"JNI_OnLoad"}


@each_machine
def test_the_library_names_no_directory_of_the_machine_that_built_it(machine: str, tmp_path: Path) -> None:
    assert places(_library(machine, tmp_path).read_bytes()) == []


@each_machine
def test_the_library_stays_small(machine: str, tmp_path: Path) -> None:
    assert _library(machine, tmp_path).stat().st_size <= 5.0 * MEGABYTE


def test_the_jar_stays_small() -> None:
    assert product_jar().stat().st_size <= 4.8 * MEGABYTE


def test_classes_run_on_java_8() -> None:
    with zipfile.ZipFile(product_jar()) as archive:
        classes = [name for name in archive.namelist() if name.endswith(".class")]
        majors = {int.from_bytes(archive.read(name)[6:8], "big") for name in classes}
    assert majors == {52}


def test_the_jar_holds_nothing_of_spark_hadoop_or_aws() -> None:
    with zipfile.ZipFile(product_jar()) as archive:
        classes = [name for name in archive.namelist() if name.endswith(".class")]
    assert classes
    assert [name for name in classes if not name.startswith("io/hops/util/")] == []


def test_the_published_pom_has_no_runtime_dependencies() -> None:
    directory = BUILD / "repo" / "io" / "hops" / "hops-credentials" / version()
    pom = ElementTree.parse(directory / f"hops-credentials-{version()}.pom")
    assert [element.tag for element in pom.iter() if element.tag.endswith("}dependency")] == []
    published = sorted(re.sub(rf"^hops-credentials-{re.escape(version())}", "", path.name) for path in directory.glob("*.jar"))
    assert published == ["-javadoc.jar", "-sources.jar", ".jar"]


def test_the_wheel_holds_one_package_for_every_python_and_no_init_of_hops() -> None:
    (wheel,) = (BUILD / "wheel" / "dev").glob("*.whl")
    assert re.fullmatch(rf"hops_credentials-{re.escape(version())}-cp39-abi3-manylinux_2_34_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = "hops/credentials_provider/"
    assert {name.split("/")[0] for name in names} == {"hops", f"hops_credentials-{version()}.dist-info"}
    assert [name for name in names if name.startswith("hops/") and not name.startswith(package)] == []
    assert {package + name for name in ("_native.abi3.so", "_native.pyi", "py.typed", f"jar/{product_jar().name}")} <= set(names)


@pytest.mark.everywhere
@pytest.mark.platform("Wheels for glibc 2.17, x86_64 and aarch64 (manylinux2014): what they need")
@each_machine
def test_the_wheel_that_users_get_is_for_glibc_2_17_and_brings_the_jar(machine: str, tmp_path: Path) -> None:
    (wheel,) = (BUILD / "wheel" / machine).glob("*.whl")
    assert wheel.name == f"hops_credentials-{version()}-cp39-abi3-manylinux2014_{machine}.manylinux_2_17_{machine}.whl"
    module = _unpacked(wheel, "hops/credentials_provider/_native.abi3.so", tmp_path)
    assert _readelf("--file-header", module, r"Machine: +(.+)$") == {IN_READELF[machine]}
    assert _newest_glibc(module) <= OLDEST_GLIBC
    assert _exported(module) == {"PyInit__native"}
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if places(archive.read(name))] == []
        assert {entry.external_attr >> 16 & 0o777 for entry in archive.infolist()} <= {0o644, 0o664, 0o755}
    jar = _unpacked(wheel, f"hops/credentials_provider/jar/{product_jar().name}", tmp_path)
    assert jar.read_bytes() == product_jar().read_bytes()


@pytest.mark.everywhere
@pytest.mark.platform("Wheel built from its sources (sdist)")
def test_the_sources_of_the_wheel_build_far_from_the_checkout(tmp_path: Path) -> None:
    (sources,) = (BUILD / "wheel").glob(f"hops_credentials-{version()}.tar.gz")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    steps: list[list[str | Path]] = [
        ["wheel", "--no-deps", "-w", ".", sources],
        ["install", "--no-deps", "--no-index", "-f", ".", "-t", "installed", "hops-credentials"],
    ]
    for step in steps:
        done = run([*pip, *step], build_environment(), tmp_path, 3600)
        assert done.returncode == 0, done.stderr
    program, variables = tmp_path / "installed" / "bin" / "hops-credentials", {"PYTHONPATH": str(tmp_path / "installed")}
    done = run([program, "--version"], environment(tmp_path / "home", **variables), tmp_path, 60)
    assert done.stdout == f"hops-credentials {version()}\n", done.stderr


def _features(*packages: str) -> dict[str, set[str]]:
    """Maps each third-party crate to the features that it has in one build of these packages."""
    selected = [argument for package in packages for argument in ("-p", package)]
    command = ["cargo", "tree", "-e", "normal,build", "--prefix", "none", "--no-dedupe", "-f", "{p}|{f}", "--locked", *selected]
    done = run(command, build_environment(), ROOT, 60)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        crate, is_crate, features = line.replace(" (*)", "").replace(" (proc-macro)", "").partition("|")
        if is_crate and "(/" not in crate:
            found.setdefault(crate, set()).add(features)
    return found


def test_a_development_build_compiles_no_crate_twice() -> None:
    """Cargo compiles a crate anew for every set of features. One command builds jar and server."""
    jar_and_server, wheel = _features("hops-credentials", "role-mapping-server"), _features("hops-credentials-python")
    assert {crate: wheel[crate] for crate in jar_and_server.keys() & wheel.keys() if wheel[crate] != jar_and_server[crate]} == {}


def _linked_twice(package: str) -> set[str]:
    command = ["cargo", "tree", "-d", "-e", "normal,no-proc-macro", "-p", package, "--locked", "--depth", "0"]
    done = run(command, build_environment(), ROOT, 60)
    assert done.returncode == 0, done.stderr
    return {line.split(" ")[0] for line in done.stdout.splitlines() if line}


def test_the_library_links_no_crate_twice() -> None:
    assert _linked_twice("hops-credentials") == set()
    assert _linked_twice("hops-credentials-python") == set()


def test_the_server_links_only_these_crates_twice() -> None:
    """The list may only become shorter: sqlx and the AWS SDK have not moved to the same versions of the hash crates yet."""
    known = {"base64", "block-buffer", "cpufeatures", "crypto-common", "digest", "getrandom", "hashbrown", "sha2"}
    assert _linked_twice("role-mapping-server") <= known


def test_the_same_sources_with_other_dates_and_modes_give_the_same_jars(tmp_path: Path) -> None:
    """The copy takes over the native libraries: whether cargo gives the same bytes is not the question here."""
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".git", ".gradle", "build", "target", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o775 if path.is_dir() else 0o664)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    for machine in MACHINES:
        library = Path("target", f"{machine}-unknown-linux-gnu", "release", "libhops_credentials.so")
        (copy / library).parent.mkdir(parents=True)
        (copy / library).symlink_to(ROOT / library)
    tasks = ["jar", "sourcesJar", "javadocJar", "-x", "cargo"]

    done = run(
        ["timeout", "300", "gradle", "--no-daemon", "--console=plain", "-q", *tasks],
        build_environment(JAVA_HOME=str(jdk.home(17))),
        copy,
        300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    made = _digests(copy / "build" / "libs")
    assert len(made) == 3
    assert made == _digests(BUILD / "libs")


def _digests(directory: Path) -> dict[str, str]:
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in directory.glob("*.jar")}
