"""Settings of main.py: what each may be and what it decides stands at its field, from which flags, checks and lists are made.

A field is a line, `rate: float = setting(0.1, POSITIVE)  # its help`. A number without a range may be any from 0 on; a type as
`int | str` takes "auto" too.
"""

import argparse
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any, NamedTuple, get_args

from runtime.command import parser_of

AUTO = "auto"


class Range(NamedTuple):
    words: str
    holds: Callable[[float], bool]


POSITIVE = Range("a number above 0", lambda value: 0 < value < math.inf)
FROM_ZERO = Range("a number from 0 to below 2^32", lambda value: 0 <= value < 1 << 32)  # larger seeds overflow
FRACTION = Range("a number from 0 to below 1", lambda value: 0 <= value < 1)
ODD = Range("an odd number", lambda value: value % 2 == 1)

NETWORK = "SCN is built with it"
MAY_DIFFER = "a resumed run may have another value"
ASIDE = "makes no other network: a resumed run may have another value, and `--mode runs` does not list it"
PLACE = "tells of one machine's folders: weights that are made for use do not have it"
NO_FLAG = "the command sets it"


def setting(default: Any, *marks: Range | str, choices: tuple[str, ...] | None = None) -> Any:
    """A field of the settings: its ranges, and other marks of the above."""
    return field(default=default, metadata={"marks": marks, "choices": choices})


def one_of(words: str, *marks: str) -> Any:
    """A field that is one of some words, separated by blanks; the first is the default."""
    choices = tuple(words.split())
    return setting(choices[0], *marks, choices=choices)


def marked(settings, *marks: str) -> list[str]:
    """Names of the settings, of a class or of an instance, that have one of some marks."""
    return [one.name for one in fields(settings) if set(marks) & {*marks_of(one)}]


def marks_of(one: Field) -> tuple[Range | str, ...]:
    return one.metadata.get("marks", ())


def read(kind: type, description: str | None, arguments: list[str] | None = None) -> Any:
    """Settings of a class, changed by flags of the same names, which the comments of its source explain."""
    parser = parser_of(description, allow_abbrev=False)
    comments = dict(re.findall(r"^    (\w+): [^#\n]*# (.*)$", inspect.getsource(kind), re.MULTILINE))
    flags = [one for one in fields(kind) if NO_FLAG not in marks_of(one)]
    for one in flags:
        how: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if one.type is not bool:
            read_as = or_auto(get_args(one.type)[0]) if get_args(one.type) else one.type
            how = {"type": read_as, "choices": one.metadata.get("choices")}
        if one.name not in comments:
            raise TypeError(f"{kind.__name__}.{one.name}: expected a line that ends with a comment, its help")
        help_text = f"{comments[one.name]} (default: {one.default!r})".replace("%", "%%")
        parser.add_argument(f"--{one.name}", default=one.default, help=help_text, **how)
    settings = kind(**vars(parser.parse_args(arguments)))
    for one in flags:
        value = getattr(settings, one.name)
        for words, holds in [mark for mark in marks_of(one) if isinstance(mark, Range)] or [FROM_ZERO]:
            if not isinstance(value, str) and not holds(value):
                parser.error(f"--{one.name}: expected {words}, found {value}")
    return settings


def or_auto(number: type) -> Callable[[str], object]:
    """What reads a number of one type, or "auto"."""

    def read_number(text: str) -> object:
        return AUTO if text == AUTO else number(text)

    read_number.__name__ = number.__name__  # argparse says it of a wrong value
    return read_number


def show(settings) -> None:
    """Print one line each, those that differ from the default marked."""
    for one in fields(settings):
        if NO_FLAG not in marks_of(one):
            value = getattr(settings, one.name)
            print(f"{'*' if value != one.default else ' '} {one.name:18s} {value!r}")
