"""Exports are pushed to a hub, which is a process on this machine."""

import pytest
from huggingface_hub import ModelCard, constants

from tests.conftest import tiny_net
from tests.exports.reports import run_report
from tests.hub import revision
from tests.writable_hub import WritableHub, accepting
from vitprune.cli.main import main
from vitprune.exports import hub as hub_module
from vitprune.exports.card import model_card
from vitprune.exports.hub import push
from vitprune.runs.run_folder import ExportFolder

# by the hub's library, as it uploads a file
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload:DeprecationWarning")


@pytest.fixture
def export(tmp_path) -> ExportFolder:
    folder = ExportFolder(tmp_path / "export")
    tiny_net().save_pretrained(folder.path)
    run_report().write(folder.report)
    folder.plots.mkdir()
    (folder.plots / "training.png").write_bytes(b"picture")
    (folder.path / ".hidden").write_text("no part of it")
    folder.card.write_text(model_card(run_report(), "someone/base", ["plots/training.png"]))
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    base = revision(tmp_path / "hub", "models", "someone/base")
    (base / "README.md").write_text("a base model")
    with accepting(tmp_path / "hub", monkeypatch) as address:
        yield address


def test_everything_is_pushed_and_the_card_has_a_license(export, hub, tmp_path, capsys):
    main(["push", str(export.path), "--repo=me/pruned", "--license=mit"])
    assert f"{hub}/me/pruned" in capsys.readouterr().out
    pushed = tmp_path / "hub" / "models" / "me" / "pruned" / "main"
    names = {str(path.relative_to(pushed)) for path in pushed.rglob("*") if path.is_file()}
    assert names == {
        "README.md",
        "config.json",
        "model.safetensors",
        "plots/training.png",
        "report.json",
    }
    assert (pushed / "model.safetensors").read_bytes() == export.weights.read_bytes()
    card = ModelCard.load(pushed / "README.md")
    assert card.data.license == "mit"
    assert "![training](plots/training.png)" in card.text

    message = "me/pruned: a model of this name exists on the hub. Choose another name."
    assert message in refusal(capsys, export, "me/pruned")


def test_the_license_is_that_of_the_base_model(export, hub, monkeypatch, tmp_path):
    monkeypatch.setattr(WritableHub, "card", {"license": "apache-2.0"})
    push(export.path, "me/pruned")
    pushed = tmp_path / "hub" / "models" / "me" / "pruned" / "main"
    assert ModelCard.load(pushed / "README.md").data.license == "apache-2.0"


def refusal(capsys, export, repo) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(["push", str(export.path), f"--repo={repo}"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    return error


def test_what_is_refused_is_said_in_one_line(export, hub, monkeypatch, capsys, tmp_path):
    assert "'a/b/c' is not a name on the hub" in refusal(capsys, export, "a/b/c")
    other = ExportFolder(tmp_path)
    assert "is not an export of vitprune" in refusal(capsys, other, "me/x")
    monkeypatch.setenv("HF_TOKEN", "other")
    assert "the hub refuses (Invalid token)" in refusal(capsys, export, "me/x")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert "the hub cannot be reached (ConnectError)" in refusal(capsys, export, "me/x")
    monkeypatch.setattr(hub_module, "get_token", lambda: None)  # whatever is stored on this machine
    assert "needs a token. Run hf auth login, or set HF_TOKEN." in refusal(capsys, export, "me/x")
