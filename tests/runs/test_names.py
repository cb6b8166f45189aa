"""Short names of folders."""

from pathlib import Path

from vitprune.runs.names import short_names


def test_names_are_as_short_as_they_can_be():
    names = {
        "/x/a/version_0": "x/a/version_0",
        "/y/a/version_0": "y/a/version_0",
        "/x/b/version_1": "version_1",
    }
    assert short_names([Path(path) for path in names]) == {
        Path(path): name for path, name in names.items()
    }
    nested = {"/run": "/run", "/x/run": "x/run"}
    assert short_names([Path(path) for path in nested]) == {
        Path(path): name for path, name in nested.items()
    }
