"""The demo shows what it claims, and notices when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.__main__ import play
from rig import ROOT
from rig.canary import leaks
from rig.deployment import deployment


def test_the_program_is_the_three_lines_of_readme() -> None:
    assert (ROOT / "demo" / "resource.scala").read_text() == (
        "import io.hops.util.CredentialsProvider\n"
        "val creds = CredentialsProvider.assumeRole(CredentialsProvider.getRole(1))\n"
        'spark.read.csv("s3a://resource/test.csv").show()\n'
    )


def test_the_demo_shows_table_denial_and_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deployment(tmp_path) as site:
        assert play(site, tmp_path / "spark") == []
        printed = capsys.readouterr()
        assert leaks(site.secrets(), tmp_path, printed.out, printed.err) == []


def test_with_the_server_stopped_the_demo_fails(tmp_path: Path) -> None:
    with deployment(tmp_path) as site:
        site.program.stop()
        assert play(site, tmp_path / "spark") == [
            "the table of s3a://resource/test.csv",
            "the denial of s3a://other/test.csv",
            "the refusal of the data owner",
        ]
