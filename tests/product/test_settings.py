"""Every setting of the core's table is read in each place where it may stand, whatever the language of the machine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from rig.spark import SPARK_3_5, product_jar, reports
from tests.product.test_lifecycle import OPENED
from tests.programs import plain

TURKISH = ("-Duser.language=tr", "-Duser.country=TR")
#: The names of each setting: its key in a SparkConf, its JVM system property and its variables.
Names = list[tuple[str | None, str | None, list[str]]]
REQUIRE_LIVE = "hops.credentials.require-live"


def read(
    directory: Path, place: str, *arguments: str, variables: dict[str, str] | None = None, options: tuple[str, ...]
) -> dict[str, object]:
    """Runs the program for one place. Returns its report."""
    class_path = f"{SPARK_3_5.home}/jars/*:{SPARK_3_5.s3a}" if place == "spark" else ""
    opened = tuple(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED) if place == "spark" else ()
    here = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
    main = "Settings"
    done = plain(directory, {**here, **(variables or {})}, place, *arguments, class_path=class_path, options=(*opened, *options), main=main)
    assert done.returncode == 0, done.stdout + done.stderr
    return reports(done.stdout)


def check(shown: object, names: Names, place: int, particular: dict[str, str]) -> int:
    """Checks that each setting with a name in this place is shown with the value that stands there. Returns how many have one."""
    count = 0
    for spark, prop, variables in names:
        written = [spark, prop, variables[0] if variables else None][place]
        if written is None:
            continue
        name = " / ".join([part for part in (prop, variables[0] if variables else None) if part])
        value = particular.get(prop or "", written)
        assert f'{name}: "{value}"' in str(shown) or f"{name}: ***" in str(shown), (name, shown)
        count += 1
    return count


@pytest.mark.parametrize("options", [(), TURKISH], ids=["here", "Turkish"])
def test_each_setting_is_read_in_each_of_its_places(options: tuple[str, ...], tmp_path: Path) -> None:
    library = tmp_path / "libelsewhere_hops_credentials.so"
    with zipfile.ZipFile(product_jar()) as jar:
        library.write_bytes(jar.read("native/linux-x86_64/libhops_credentials.so"))
    unpacked = tmp_path / "unpacked"
    particular = {"hops.native.path": str(library), "hops.native.tmpdir": str(unpacked)}
    flat = [part for pair in particular.items() for part in pair]

    plainly = read(tmp_path, "names", options=options)
    names: Names = plainly["names"]  # type: ignore[assignment]
    assert plainly["switch"] == "false"
    assert plainly["library"] == "(deleted)"

    of_spark = read(tmp_path, "spark", *flat, options=options)
    assert check(of_spark["read"], names, 0, {**particular, "spark.app.name": "settings"}) > 10
    of_property = read(tmp_path, "property", *flat, options=options)
    assert check(of_property["read"], names, 1, particular) > 20

    variables = {variables[0]: particular.get(prop or "", variables[0]) for _, prop, variables in names if variables}
    # Empties user.name, which every JVM sets: the variable counts only without the property.
    of_variable = read(tmp_path, "variable", variables=variables, options=("-Duser.name=", *options))
    assert check(of_variable["read"], names, 2, particular) > 15

    # Checks the two settings that are read before the table is there, and a switch with a value that it does not know.
    for found, value in [
        (of_spark, f"spark.hops.{REQUIRE_LIVE.removeprefix('hops.')}"),
        (of_property, REQUIRE_LIVE),
        (of_variable, "HOPS_CREDENTIALS_REQUIRE_LIVE"),
    ]:
        assert found["library"] == str(library)
        assert found["switch"] == f'{REQUIRE_LIVE} / HOPS_CREDENTIALS_REQUIRE_LIVE is "{value}"; set it to true or false'


@pytest.mark.parametrize("place", ["spark", "property", "variable"])
def test_the_library_is_unpacked_where_the_setting_says(place: str, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    variables = {"HOPS_NATIVE_TMPDIR": str(unpacked)} if place == "variable" else None
    arguments = () if variables else ("hops.native.tmpdir", str(unpacked))
    found = read(tmp_path, place, *arguments, variables=variables, options=TURKISH)
    # Expects the mark that the kernel gives to a mapping whose file is gone.
    assert found["library"] == "(deleted)"
    assert unpacked.is_dir()
