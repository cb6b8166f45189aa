"""The journal of a scan."""

import pytest

from vitprune.errors import UsageError
from vitprune.evaluation.journal import Journal


def test_the_journal_refuses_other_settings(tmp_path):
    Journal(tmp_path).open({"by": "layer"})
    with pytest.raises(UsageError, match="by is layer there and block now"):
        Journal(tmp_path).open({"by": "block"})


def test_the_first_rank_writes_the_settings_once(tmp_path):
    Journal(tmp_path, rank=1).open({"by": "layer"})
    assert not list(tmp_path.iterdir())
    Journal(tmp_path).open({"by": "layer"})
    written = (tmp_path / "settings.json").stat()
    Journal(tmp_path).open({"by": "layer"})
    assert (tmp_path / "settings.json").stat().st_mtime_ns == written.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
