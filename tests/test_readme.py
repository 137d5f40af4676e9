"""README, docs/ and the other pages say the truth: commands that run as written, files, functions and links that are there."""

import argparse
import importlib
import re
import shlex
import sys
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

import pytest
from conftest import ROOT

from main import read_settings

README = ROOT / "README.md"
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "dataset/README.md", "weights/README.md", "docs/lab/repeat.md")]
PAGES = [README, *sorted(ROOT.glob("docs/*.md")), *OTHERS]
HISTORY = [ROOT / "CHANGELOG.md", *sorted({*ROOT.glob("docs/lab/*.md")} - {*OTHERS})]  # whose commands are of their time
COMMANDS = ("main.py", "data_preprocessing.py", "export.py", "predict.py", "phantom")  # whose flags any page may name alone
INTERPRETERS = {"python", "python3", ".venv/bin/python"}
ONE_LINE = (
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python data_preprocessing.py"
    " && .venv/bin/python main.py"
)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def lines_of_code(page: Path) -> list[str]:
    """The indented code of a page; not the README's list of files."""
    text = re.sub(r"## Files\n.*?(?=\n## )", "", page.read_text(), flags=re.DOTALL)
    return [line.strip() for line in re.findall(r"^ {4,}(.+)$", text, re.MULTILINE) if "`" not in line]


def spans_of_code(page: Path) -> list[str]:
    """What stands between back quotes, on one line or two."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", page.read_text())]


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command of a page, those joined by && apart."""
    named = re.compile(r"(^|[ /])(python3?|torchrun|\w+\.py) ")
    codes = [line for line in lines_of_code(page) if named.search(line + " ")]
    codes += [span for span in spans_of_code(page) if named.search(span)]  # a file's name alone is none
    return [shlex.split(command) for code in codes for command in code.split(" && ")]


def without_surroundings(words: list[str]) -> list[str]:
    """A command without srun and without the environment's variables, which some test must read."""
    while words and (words[0] == "srun" or "=" in words[0]):
        variable = words[0].partition("=")[0]
        assert variable == "srun" or any(f'"{variable}"' in path.read_text() for path in ROOT.glob("tests/*.py")), variable
        words = words[1:]
    return words


class Understood(Exception):
    """A script has read its arguments; no work has begun. Its text is the script's help."""


def file_of(script: str) -> Path:
    """The file of `NAME.py`, or of what follows `python -m`."""
    module = ROOT / script.removesuffix(".py").replace(".", "/")
    return module / "__main__.py" if module.is_dir() else module.with_suffix(".py")


def read_by(script: str, arguments: list[str] | None) -> str:
    """Let a script read arguments by its own parser, or none at all, and do no work; returns its help."""
    path = file_of(script)
    assert path.exists(), f"there is no {script}"
    if not re.search(r"parser_of\(|read_settings\(", path.read_text()):
        assert not arguments, f"{script} takes no arguments"
        return ""
    read = argparse.ArgumentParser.parse_args

    def parse_args(parser: argparse.ArgumentParser, *_) -> None:
        if arguments is not None:
            read(parser, arguments)
        raise Understood(parser.format_help())

    module = importlib.import_module(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *(arguments or [])])
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        with pytest.raises(Understood) as understood:
            module.main()
    return str(understood.value)


@cache
def flags_of(script: str) -> set[str]:
    return set(re.findall(r"--\w[\w-]*", read_by(script, None)))


def check_arguments(script: str, arguments: list[str]) -> None:
    """Fail where a script would not understand its arguments; those after -- are main.py's."""
    read_by(script, arguments)
    if script == "main.py":
        read_settings(arguments)  # its ranges too
    elif "--" in arguments:
        read_settings(arguments[arguments.index("--") + 1 :])


def check(words: list[str]) -> str:
    """Fail where a command would not run as written; returns the script of this project that it starts, if any."""
    program, *rest = words
    if program == "torchrun":
        from torch.distributed.run import get_args_parser

        options = get_args_parser().parse_args(rest)
        check_arguments(options.training_script, options.training_script_args)
        return options.training_script
    if rest[:2] == ["-m", "pytest"]:
        files = [ROOT / word for word in rest if word.endswith(".py")]
        chosen = dict(pairwise(rest)).get("-k", "")
        assert all(file.exists() for file in files), f"no such files: {files}"
        assert not chosen or any(re.search(rf"def test_\w*{chosen}", file.read_text()) for file in files), f"no test: {chosen}"
        return ""
    if rest[:1] == ["-m"] and rest[1] != "venv":
        check_arguments(rest[1], rest[2:])
        return rest[1]
    if program in INTERPRETERS and rest[0] != "-m":
        program, *rest = rest
    if program.endswith(".py"):
        check_arguments(program, rest)
        return program
    known = program in INTERPRETERS | {".venv/bin/pip", "ruff"} or program.startswith("HOST=")
    assert known and not any(word.endswith(".py") for word in rest), f"not a command of these pages: {program}"
    return ""


@each_page
def test_commands_run_as_written(page, capsys):
    """As far as a test can tell in seconds: every script understands its arguments. A flag named alone is some script's."""
    scripts = set(COMMANDS)
    try:
        for words in commands_of(page):
            scripts.add(check(without_surroundings(words)))
        for words in (shlex.split(span) for span in spans_of_code(page) if span.startswith("--")):
            known = [script for script in sorted(scripts - {""}) if words[0] in flags_of(script)]
            assert known, "no command has this flag"
            if "main.py" in known and len(words) > 1:
                read_settings(words)
    except (AssertionError, ImportError, SystemExit) as error:
        pytest.fail(f"{shlex.join(words)}: {capsys.readouterr().err or error}")


def test_the_set_up_commands_are_the_tested_ones():
    code = lines_of_code(README)
    assert ONE_LINE in code
    (tests,) = (line.split(" && ") for line in code if line.startswith("python3 -m venv") and line.endswith("pytest"))
    assert [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line in tests] == tests


@each_page
def test_files_exist(page):
    """Python files and pages wherever they are named; in this project's folders, all files."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"dataset", "result"}
    for word in chain.from_iterable(code.split() for code in lines_of_code(page) + spans_of_code(page)):
        first, slash, _ = word.partition("/")
        if re.fullmatch(r"[\w./]+\.(py|md|npz)", word) or (slash and first in folders and re.fullmatch(r"[\w./]+", word)):
            assert (ROOT / word).exists() or (page.parent / word).exists() or word.endswith(("__init__.py", "_methods.md")), word


@each_page
def test_functions_exist(page):
    """What is said to be `in` a file is defined there."""
    for names, file in re.findall(r"`([\w.]+)`\s+in\s+`(\w[\w/]*\.py)`", page.read_text()):
        source = (ROOT / file).read_text()
        for name in names.split("."):
            assert re.search(rf"^\s*(def|class) {name}\b|^[\w, ]*\b{name}\b.* = ", source, re.MULTILINE), f"no {names} in {file}"


def anchors_of(page: Path) -> set[str]:
    """What links may name of a page, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *HISTORY], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if ":" not in path:
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), f"no heading: {link}"


def test_the_paper_that_is_cited_is_the_one_of_the_readme():
    (doi,) = re.findall(r"doi:(\S+)", README.read_text())
    assert f"doi: {doi}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_page_is_in_the_table_of_contents():
    contents = ROOT / "docs" / "README.md"
    linked = {(contents.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", contents.read_text())}
    assert {*PAGES, *HISTORY} - {contents} == linked


def test_the_readme_lists_the_files_of_the_top_level():
    """Its Python files, and its folders of code or pages."""
    (section,) = re.findall(r"## Files\n(.*?)\n## ", README.read_text(), re.DOTALL)
    listed = re.findall(r"^    (\S+)  +\S", section, re.MULTILINE)
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "result"))]
    folders = [path for path in folders if [*path.glob("*.py"), *path.glob("*.md")]]
    there = [path.name for path in ROOT.glob("*.py")] + [f"{path.name}/" for path in folders]
    assert sorted(listed) == sorted(there)
