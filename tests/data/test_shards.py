"""Shards of a data set: all of them, and whole."""

import logging
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.shards import png
from vitprune.data import Columns
from vitprune.data.sources import load_source
from vitprune.data.streaming import load_streams
from vitprune.errors import UsageError


@pytest.fixture
def copied(shards, tmp_path):
    """Return a folder of shards that may be damaged."""
    return Path(shutil.copytree(shards, tmp_path / "shards"))


def load_both(source):
    for load in (load_source, lambda source: load_streams(source, Columns(), {})):
        yield lambda load=load: load(str(source))


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-20], lambda _: b"", lambda _: b"version https://git-lfs.github.com"],
    ids=["torn", "empty", "a pointer of Git LFS"],
)
def test_a_damaged_parquet_file_is_named(copied, damage):
    shard = copied / "train-00001-of-00004.parquet"
    shard.write_bytes(damage(shard.read_bytes()))
    for load in load_both(copied):
        with pytest.raises(UsageError, match=f"{shard} is damaged: .*Copy or download it again"):
            load()


def test_a_torn_tar_is_not_read_in_part(tmp_path):
    (tmp_path / "0.png").write_bytes(png(0))
    shard = tmp_path / "train-0.tar"
    with tarfile.open(shard, "w") as tar:
        tar.add(tmp_path / "0.png", "0.png")
    (tmp_path / "0.png").unlink()
    shard.write_bytes(shard.read_bytes()[:1500])
    with pytest.raises(UsageError, match="train-0.tar is damaged: its end is missing"):
        load_source(str(tmp_path))


def test_missing_shards_are_reported(copied, caplog):
    caplog.set_level(logging.INFO)
    (copied / "train-00001-of-00004.parquet").unlink()
    load_streams(str(copied), Columns(), {})
    assert caplog.text.count("1 of 4 shards are missing, first ") == 1
    assert f"{copied}/train-00001-of-00004.parquet" in caplog.text


def test_a_parquet_file_with_other_columns_is_named(copied):
    shard = copied / "train-00001-of-00004.parquet"
    pq.write_table(pa.table({"image": ["a"], "class": [1]}), shard)
    with pytest.raises(UsageError, match=rf"{shard} has the columns \['image', 'class'\]"):
        load_source(str(copied))
