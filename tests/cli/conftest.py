"""A finished run, which the tests of the command line share."""

import pytest

from tests.cli.arguments import DIGITS, SHORT, SMALL
from vitprune.cli.main import main


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """Return the folder of a short run of iterative.yaml."""
    root = tmp_path_factory.mktemp("root")
    main(
        [
            "fit",
            "--config",
            "iterative.yaml",
            f"--trainer.default_root_dir={root}",
            *SMALL,
            *DIGITS,
            *SHORT,
        ]
    )
    return root / "lightning_logs" / "version_0"
