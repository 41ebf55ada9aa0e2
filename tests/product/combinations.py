"""The lines of Spark and the masters on which a test runs: some of them in each run of all checks, the others in `make matrix`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from rig.spark import SPARK_3_5, SPARK_4_1, Line

#: One line for each line of the AWS SDK.
BOTH_SDKS = (SPARK_3_5, SPARK_4_1)
LOCAL = "local[2]"
CLUSTER = "local-cluster[2,1,1024]"


def on(
    *chosen: tuple[Line, str], lines: Sequence[Line] = BOTH_SDKS, masters: Sequence[str] = (LOCAL, CLUSTER), name: str = "master"
) -> pytest.MarkDecorator:
    """Runs a test on every line with every master, or with everything else that has this name: outside of `make matrix` on those chosen."""
    every = list(itertools.product(lines, masters))
    assert set(chosen) <= set(every), chosen
    parameters = [pytest.param(*each, marks=() if each in chosen else pytest.mark.matrix) for each in every]
    return pytest.mark.parametrize(("line", name), parameters, ids=lambda part: getattr(part, "spark", part))


def on_line(*chosen: Line, lines: Sequence[Line] = BOTH_SDKS) -> pytest.MarkDecorator:
    """Runs a test on every line: outside of `make matrix` on those chosen."""
    assert set(chosen) <= set(lines), chosen
    parameters = [pytest.param(line, marks=() if line in chosen else pytest.mark.matrix) for line in lines]
    return pytest.mark.parametrize("line", parameters, ids=lambda line: line.spark)
