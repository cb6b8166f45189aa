"""Short forms on a command line."""

from vitprune.cli.arguments import how_to_continue

RESUME = "resume from the last checkpoint with: fit --ckpt_path last"


def test_the_command_to_resume_names_the_folder_of_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for root in (".", "a", "b", "my runs"):
        last = tmp_path / root / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt"
        last.parent.mkdir(parents=True)
        last.touch()
    (tmp_path / "root.yaml").write_text("trainer: {default_root_dir: my runs}")
    config = f"--config={tmp_path}/root.yaml"
    option = "--trainer.default_root_dir"
    assert how_to_continue(["fit"]) == RESUME
    assert how_to_continue(["fit", f"{option}=a"]) == f"{RESUME} {option} a"
    assert how_to_continue(["fit", config]) == f"{RESUME} {option} 'my runs'"
    assert how_to_continue(["fit", config, option, "b"]).endswith(f"{option} b")


def test_a_run_without_a_checkpoint_cannot_be_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lightning_logs" / "version_0" / "checkpoints").mkdir(parents=True)
    assert how_to_continue(["fit"]) == "rerun the command"
    assert how_to_continue(["fit", "--ckpt_path=last"]) == RESUME
    assert how_to_continue(["export"]) == "rerun the command"
