"""The lines of Spark and the masters on which a test runs: some of them in each run of all checks, the others in `make matrix`.

A test that runs on every line is evidence for each of them, so `make everywhere` runs it too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from rig.spark import LINES, SPARK_3_5, SPARK_4_1, Line

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
    parameters = [pytest.param(*each, marks=_marks(each[0], lines, each in chosen)) for each in every]
    return pytest.mark.parametrize(("line", name), parameters, ids=lambda part: getattr(part, "spark", part))


def on_line(*chosen: Line, lines: Sequence[Line] = BOTH_SDKS) -> pytest.MarkDecorator:
    """Runs a test on every line: outside of `make matrix` on those chosen."""
    assert set(chosen) <= set(lines), chosen
    parameters = [pytest.param(line, marks=_marks(line, lines, line in chosen)) for line in lines]
    return pytest.mark.parametrize("line", parameters, ids=lambda line: line.spark)


def _marks(line: Line, lines: Sequence[Line], is_in_ci: bool) -> list[pytest.MarkDecorator]:
    evidence = [pytest.mark.platform(line.platform)] if lines == LINES else []
    return evidence if is_in_ci else [*evidence, pytest.mark.matrix]
