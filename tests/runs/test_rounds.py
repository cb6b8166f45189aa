"""The table of pruning rounds."""

import pytest

from vitprune.runs.rounds import RoundReport, round_rows


@pytest.mark.parametrize(("count", "most"), [(0, 0), (1, 1), (20, 20), (4500, 21)])
def test_of_many_rounds_the_table_has_some_and_the_last(count, most):
    rounds = [RoundReport(n, 0, 0, 0.5, 0.5, None, None) for n in range(1, count + 1)]
    rows = round_rows(rounds)
    assert len(rows) <= most
    assert [row[0] for row in (rows[:1] + rows[-1:])] == ["1", str(count)][: 2 * bool(count)]
