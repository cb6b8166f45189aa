"""Every module with a command line shows its help."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "scripts").rglob("*.py")
    if path.name != "train.py" and '__name__ == "__main__"' in path.read_text()
)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", COMMANDS)
def test_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    assert not end.value.code
    text = capsys.readouterr().out
    assert f"python -m {name}" in text
    assert "options:" in text


def test_all_commands_are_found():
    assert {"scripts.study.run", "scripts.bench.methods", "scripts.faults.kill_loop"} < set(
        COMMANDS
    )
    assert len(COMMANDS) == 17
