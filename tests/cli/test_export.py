"""`vitprune export` as a command."""

import json

import pytest
from torch import nn

from tests.cli.arguments import SMALL
from tests.writable_hub import accepting
from vitprune.cli.main import main
from vitprune.exports import hub


def test_a_format_that_fails_ends_with_code_2_and_leaves_the_others(
    finished_run, tmp_path, monkeypatch, capsys
):
    layer_norm = nn.LayerNorm.forward

    def checked(self, states):  # reads values, which torch.export cannot follow
        assert states.isfinite().all().item()
        return layer_norm(self, states)

    monkeypatch.setattr(nn.LayerNorm, "forward", checked)
    export = tmp_path / "export"
    arguments = ["--formats=pt2,compressed", f"--output={export}"]
    with pytest.raises(SystemExit) as stopped:
        main(["export", f"--ckpt_path={finished_run}", *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "vitprune: error: --formats pt2: the model cannot be converted (" in error
    assert f"All other files are in {export}." in error
    assert (export / "model.safetensors").is_file()
    assert (export / "model.compressed.safetensors").is_file()
    assert not (export / "model.pt2").exists()
    report = json.loads((export / "report.json").read_text())
    assert report["failed_formats"].keys() == {"pt2"}
    assert report["formats"].keys() == {"compressed"}


@pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")  # the hub's
def test_an_export_is_pushed(finished_run, tmp_path, monkeypatch, capsys):
    command = ["export", f"--ckpt_path={finished_run}", f"--output={tmp_path / 'export'}", *SMALL]
    with accepting(tmp_path / "hub", monkeypatch) as address:
        main([*command, "--push_to_hub=me/pruned"])
    assert f"to {address}/me/pruned" in capsys.readouterr().out
    pushed = tmp_path / "hub" / "models" / "me" / "pruned" / "main"
    assert "type: accuracy" in (pushed / "README.md").read_text()
    assert (pushed / "plots" / "density.png").is_file()
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(SystemExit):
        main([*command, "--push_to_hub=me/other"])
    assert "the hub needs a token" in capsys.readouterr().err
