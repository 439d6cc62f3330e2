"""The benchmark of import times."""

from __future__ import annotations

import pytest

from benchmarks.import_time import BASE, PACKAGE, Cost, measure, report, slowest_modules


def test_measure_statement_has_a_ratio_to_the_base() -> None:
    base, own = measure(1, ["import json"])
    assert (base.statement, own.statement) == (BASE, "import json")
    assert list(base.ratios) == [1]
    assert 0 <= own.ratios[0] < 1


def test_slowest_modules_are_sorted_by_own_time() -> None:
    found = slowest_modules("import json")
    assert "json.decoder" in {module for _, module in found}
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("ratio", "fine"), [(1.15, True), (1.16, False)])
def test_report_ratio_above_limit_returns_false(
    ratio: float, fine: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = [Cost(BASE, [0.1], [1.0]), Cost(PACKAGE, [0.1 * ratio], [ratio])]
    assert report(costs) is fine
    assert f"{'yes' if fine else 'no'}, {ratio}" in capsys.readouterr().out
