from __future__ import annotations

import pytest

from benchmarks.import_time import BASE, PACKAGE, Cost, heaviest, measure, report


def test_each_statement_is_timed_beside_the_base() -> None:
    base, own = measure(1, ["import json"])
    assert (base.statement, own.statement) == (BASE, "import json")
    assert list(base.ratios) == [1]
    assert 0 <= own.ratios[0] < 1


def test_the_heaviest_module_comes_first() -> None:
    found = heaviest("import json")
    assert "json.decoder" in {module for _, module in found}
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("ratio", "fine"), [(1.15, True), (1.16, False)])
def test_more_than_what_is_allowed_is_no_success(
    ratio: float, fine: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = [Cost(BASE, [0.1], [1.0]), Cost(PACKAGE, [0.1 * ratio], [ratio])]
    assert report(costs) is fine
    assert f"{'yes' if fine else 'no'}, {ratio}" in capsys.readouterr().out
