"""The README says the truth about commands, flags and files."""

import re
import shlex

from conftest import ROOT, command

from main import read_settings

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_readmes_test_command():
    assert "    " + (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] + "\n" in README


def test_commands_are_understood():
    """Every `python main.py ...` of the README is read without an error, and every flag of the other script exists."""
    text = README + (ROOT / "dataset" / "README.md").read_text(encoding="utf-8")
    training = re.findall(r"python main\.py ([^`\n]*)", text)
    assert len(training) >= 4
    for line in training:
        read_settings(shlex.split(line))
    known = command("data_preprocessing.py", "--help").stdout
    for line in re.findall(r"python data_preprocessing\.py ([^`\n&]*)", text):
        for flag in re.findall(r"--\w+", line):
            assert f" {flag} " in known, flag


def test_files_exist():
    listed = re.findall(r"^    ((?:\w+\.py  ?)+) ", README, re.MULTILINE)
    named = {name for line in listed for name in line.split()}
    assert named == {path.name for path in ROOT.glob("*.py")}
    for page in (ROOT / "README.md", *ROOT.glob("*/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page, link)
