"""The README says the truth about commands, flags and files."""

import re

from conftest import ROOT, command

README = (ROOT / "README.md").read_text()


def test_ci_runs_the_readmes_test_command():
    assert "    " + (ROOT / ".ci" / "run").read_text().splitlines()[-1] + "\n" in README


def test_flags_exist():
    known = command("main.py", "--help").stdout + command("data_preprocessing.py", "--help").stdout
    for flag in set(re.findall(r"(?<= )--[a-z][a-z_0-9]+", README + (ROOT / "dataset" / "README.md").read_text())):
        assert flag in known, flag


def test_files_exist():
    listed = re.findall(r"^    ((?:\w+\.py  ?)+) ", README, re.MULTILINE)
    named = {name for line in listed for name in line.split()}
    assert named == {path.name for path in ROOT.glob("*.py")}
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link
