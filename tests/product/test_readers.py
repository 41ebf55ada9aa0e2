"""Every reader of S3 that we know, beyond those of `make test`."""

from __future__ import annotations

import pytest

from runs import readers
from tests.programs.python.readers import READERS


@pytest.mark.everywhere
@pytest.mark.platform(f"Readers in Python: {', '.join(READERS)}")
def test_every_reader_reads_as_the_role_alone_through_five_lifetimes(capsys: pytest.CaptureFixture[str]) -> None:
    code = readers.main()

    printed = capsys.readouterr()
    assert code == 0, printed.out + printed.err
