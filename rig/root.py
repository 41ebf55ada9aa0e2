"""Other Linuxes in folders: Debian of another age or for another processor, with the C library, Java and Python of its own.

`python3 -m rig.root sid` unpacks one into build/root/sid, from the mirror that this machine's apt uses. Its packages are not configured:
nothing in it runs meanwhile. A program runs in it with the files of the checkout where they are outside, in a mount namespace that goes
with it. It shares loopback, processes and kernel with the machine.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rig import BUILD, ROOT

#: Makes the root ($1) that of the rest, shows in it each folder up to `--` where it is outside, and runs the rest there in the same
#: working directory. What emulates the processor is named before the folders, or is empty. The machine has a name that etc/hosts knows.
#: Is no chroot, in which a program could make no user namespaces.
_ENTER = """\
root=$1 emulator=$2 here=$PWD
shift 2
hostname localhost
mount --rbind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  shift
done
shift
cd "$root"
pivot_root . .
$emulator /usr/bin/umount -l .
cd "$here"
exec $emulator "$@"
"""

#: What the scripts of unconfigured packages would have written.
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


@dataclasses.dataclass(frozen=True)
class Root:
    """A root: its name, the suite of Debian and its packages, and for each Java in it the place below /usr/lib/jvm."""

    name: str
    suite: str
    packages: Sequence[str]
    java: Mapping[int, str]
    architecture: str = "amd64"
    #: Folders that are empty for the programs that run in it.
    emptied: Sequence[str] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def directory(self) -> Path:
        """The root outside."""
        return BUILD / "root" / self.name

    def java_home(self, version: int) -> Path:
        """Returns JAVA_HOME of a Java in the root."""
        return Path("/usr/lib/jvm") / self.java[version]

    def command(self, command: Sequence[str | Path], also: Sequence[Path] = ()) -> list[str]:
        """Returns the command that runs another one in the root, which sees the folders `also` besides those of the checkout.

        A processor that is not the machine's is emulated for this program alone; one that it starts needs the emulator too.
        """
        folders = [ROOT, *(path.resolve() for path in BUILD.iterdir() if path.is_symlink() and path.is_dir()), *also]
        script = "".join(f'mount -t tmpfs tmpfs "$1/{folder}"\n' for folder in self.emptied) + _ENTER
        enter = ["unshare", "--mount", "--uts", "sh", "-euc", script, "sh", self.directory, self.emulator, *folders, "--"]
        return [str(part) for part in [*enter, *command]]

    @property
    def emulator(self) -> str:
        """The program that runs those of the root, inside of it; empty where the machine itself can."""
        return "" if self.architecture == "amd64" else "/usr/bin/qemu-aarch64-static"

    def unpack(self) -> None:
        """Unpacks the root again, from nothing."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        options = ["--foreign", "--variant=minbase", f"--arch={self.architecture}", f"--include={','.join(self.packages)}"]
        _run(["debootstrap", *options, self.suite, self.directory, _mirror()])
        for package in sorted((self.directory / "var/cache/apt/archives").glob("*.deb")):
            _run(["dpkg-deb", "--extract", package, self.directory])
            package.unlink()
        for name, text in _FILES.items():
            (self.directory / name).write_text(text)
        authorities = sorted((self.directory / "usr/share/ca-certificates/mozilla").glob("*.crt"))
        (self.directory / _AUTHORITIES).write_text("".join(path.read_text() for path in authorities))
        if self.emulator:
            shutil.copy(self.emulator, self.directory / "usr/bin")


#: Has the only Java 8 of Debian.
SID = Root("sid", "sid", ["openjdk-8-jre-headless", "ca-certificates"], {8: "java-8-openjdk-amd64/jre"})
DEBIAN_13 = Root(
    "debian-13",
    "trixie",
    ["openjdk-21-jre-headless", "python3-venv", "python3-pip", "ca-certificates"],
    {21: "java-21-openjdk-amd64"},
)
DEBIAN_11 = Root(
    "debian-11",
    "bullseye",
    ["openjdk-11-jre-headless", "python3-venv", "python3-pip", "ca-certificates"],
    {11: "java-11-openjdk-amd64"},
)
ARM64 = Root(
    "arm64",
    "bookworm",
    ["openjdk-17-jre-headless", "python3-venv", "python3-pip", "ca-certificates"],
    {17: "java-17-openjdk-arm64"},
    "arm64",
)
ROOTS = {root.name: root for root in (SID, DEBIAN_13, DEBIAN_11, ARM64)}


def _mirror() -> str:
    """Returns where apt finds Debian's packages."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian", "Component: main"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[0]


def _run(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    ROOTS[sys.argv[1]].unpack()
