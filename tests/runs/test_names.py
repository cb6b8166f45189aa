"""Short names of folders: the shortest end of a path that no other folder shares."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vitprune.runs.names import resolve, short_names


def test_the_shortest_end_that_is_not_shared():
    folders = [Path("/a/x/export"), Path("/a/y/export"), Path("/a/z")]
    assert list(short_names(folders).values()) == ["x/export", "y/export", "z"]


@given(st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1))
def test_names_are_unique_ends_of_their_paths(parts):
    folders = [Path("/", *some) for some in parts]
    names = short_names(folders)
    assert len(set(names.values())) == len(folders)
    assert all(str(folder).endswith(name) for folder, name in names.items())


def test_folders_are_absolute_and_each_comes_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(["a", "./a", str(tmp_path / "b")]) == [tmp_path / "a", tmp_path / "b"]
