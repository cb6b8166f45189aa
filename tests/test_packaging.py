"""What the project says about itself agrees with itself."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [
    requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra
]
REQUIREMENTS = [
    text for text in [*PROJECT["dependencies"], *EXTRAS] if not text.startswith("vitprune[")
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def pins(name):
    return dict(re.findall(r"^([\w.-]+)===?([\w.]+)$", (ROOT / name).read_text(), re.MULTILINE))


def numbers(version):
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def test_the_oldest_versions_are_the_lower_bounds():
    bounds = {
        re.match(r"[\w-]+", text)[0]: re.search(r">=([\d.]+)", text)[1] for text in REQUIREMENTS
    }
    oldest = pins("constraints-oldest.txt")
    assert bounds.keys() == oldest.keys()
    for name, bound in bounds.items():
        assert (*numbers(bound), 0, 0)[:3] == numbers(oldest[name]), name


def test_the_pinned_versions_are_allowed():
    pinned, oldest = pins("constraints.txt"), pins("constraints-oldest.txt")
    for name, bound in oldest.items():
        assert numbers(pinned[name]) >= numbers(bound), name


def test_workflows_and_documents_name_targets_that_exist():
    used = set()
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text())["jobs"].values()
        for job in jobs:
            commands = " ".join(step.get("run", "") for step in job["steps"])
            targets = job.get("strategy", {}).get("matrix", {}).get("target", [])
            used |= set(re.findall(r"make ([a-z-]+)", commands)) | set(targets)
    for name in ("README.md", "CONTRIBUTING.md"):
        used |= set(re.findall(r"^make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE))
    assert {"test", "test-wheel", "test-oldest", "audit", "fuzz", "faults"} <= used
    assert used <= TARGETS
