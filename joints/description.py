"""The description of a joint: what its landmarks are called, what joins them, which side it is of, what is measured on it.

It comes from `joint.json` beside the table of landmarks, and goes with the prepared data and the weights to every output. All but
the landmarks may be left out, and they too where the table's header names them. docs/your_joint.md explains each.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from radiographs.pixel_size import read_size
from runtime.files import DataError

LATERALITIES = ("left", "right", "either", "none")
# What a measure is made of: how many landmarks, or for a difference two other measures.
# length: of a line; angle: at the second of three landmarks, 0 to 180 degrees, or of four between the lines of the first and of
# the last two; bend: how far three landmarks are from straight, signed as "bends" says; largest angle: between any two of two or
# more lines, as Cobb's; difference: the first less the second.
LARGEST = "largest angle"
KINDS = {"length": (2,), "angle": (3, 4), "bend": (3,), LARGEST: (), "difference": (2,)}
KEYS = ("joint", "landmarks", "skeleton", "laterality", "mirror", "scale", "measures", "bends", "late", "pixel_mm")
DESCRIPTION = "joint.json"  # beside the table of landmarks


@dataclass(frozen=True)
class Scale:
    """Two landmarks whose distance is known, for radiographs without a pixel spacing."""

    name: str
    landmarks: tuple[int, int]
    mm: float

    def __str__(self) -> str:
        return f"{self.name} = {self.mm:g} mm (points {self.landmarks[0]} and {self.landmarks[1]})"


@dataclass(frozen=True)
class Defined:
    """A measure: of landmarks by their numbers, or a difference of two other measures by their names."""

    name: str
    kind: str  # of KINDS
    of: tuple


@dataclass(frozen=True)
class Description:
    """Landmarks are numbers in the order of the table's columns."""

    names: tuple[str, ...]
    joint: str = ""  # what it is called; blank: not said
    skeleton: tuple[tuple[int, int], ...] = ()  # lines of an overlay
    # the side that training radiographs show; either: of both; none: mirrored pictures are never taken for it; blank: not said
    laterality: str = ""
    mirror: tuple[tuple[int, int], ...] = ()  # landmarks that are each other's mirror image
    scale: Scale | None = None
    measures: tuple[Defined, ...] = ()
    bends: tuple[int, int, int] | None = None  # bends are positive to the side on which the third lies of the first two's line
    late: tuple[int, ...] = ()  # landmarks of bones that young patients do not have yet
    pixel_mm: tuple[float, float] | None = None  # (x, y), of the training radiographs whose files do not know it

    @classmethod
    def numbered(cls, landmarks: int) -> "Description":
        """Of landmarks that nothing is known of."""
        return cls(tuple(str(i) for i in range(landmarks)))

    @classmethod
    def of_file(cls, stored: dict, source: Path | str, names: tuple[str, ...] | None = None) -> "Description":
        """From what `joint.json` holds; `names` are those of the table's header. Raises DataError, one line, by name."""
        return Reader(stored, str(source), names).description()

    def to_file(self) -> dict:
        """What `joint.json` holds."""

        def called(numbers: tuple[int, ...]) -> list[str]:
            return [self.names[i] for i in numbers]

        scale = self.scale and {"name": self.scale.name, "landmarks": called(self.scale.landmarks), "mm": self.scale.mm}
        measures = {one.name: {one.kind: self.made_of(one)} for one in self.measures}
        stored = {
            "joint": self.joint,
            "landmarks": list(self.names),
            "skeleton": list(map(called, self.skeleton)),
            "laterality": self.laterality,
            "mirror": list(map(called, self.mirror)),
            "scale": scale,
            "measures": measures,
            "bends": called(self.bends or ()),
            "late": called(self.late),
            "pixel_mm": list((self.pixel_mm or ())[::-1]),
        }
        always = ("joint", "landmarks", "skeleton", "mirror", "measures")
        return {key: value for key, value in stored.items() if value or key in always}

    def made_of(self, one: Defined) -> list:
        """A measure's landmarks by name, as `joint.json` has them; of a difference both measures."""
        if one.kind == "difference":
            return list(one.of)
        names = [self.names[i] for i in one.of]
        return [names[i : i + 2] for i in range(0, len(names), 2)] if one.kind == LARGEST else names

    def side(self, mirrored: bool) -> str:
        """Which side a picture shows that is, or is not, mirrored against training radiographs; blank where nobody knows."""
        if self.laterality not in ("left", "right"):
            return ""
        return {"left": "right", "right": "left"}[self.laterality] if mirrored else self.laterality

    @property
    def absent(self) -> str:
        """What a picture is called that does not show it; blank where it has no name."""
        return f"not a{'n' if self.joint[:1].lower() in tuple('aeiou') else ''} {self.joint}" if self.joint else ""

    @property
    def exchanged(self) -> list[int]:
        """Which landmark each one becomes in a mirror image: itself, or its partner."""
        order = list(range(len(self.names)))
        for a, b in self.mirror:
            order[a], order[b] = b, a
        return order


class Reader:
    """One look at every key of a description; the first mistake is told in one line."""

    def __init__(self, stored: dict, source: str, names: tuple[str, ...] | None):
        self.source, self.stored, keys = source, stored, ", ".join(KEYS)
        self.expect(isinstance(stored, dict), f"an object with some of the keys {keys}", stored)
        unknown = [key for key in stored if key not in KEYS]
        self.expect(not unknown, f"only the keys {keys}", *unknown[:1])
        listed = stored.get("landmarks")
        self.expect(listed is None or (listed and are_names(listed)), "landmarks to be a list of names", listed)
        header = '"landmarks", a list of names, or a header NAME_x,NAME_y,... in the table'
        self.expect(listed or names is not None, header, "neither")
        self.names = tuple(listed or names)
        if names and self.names != tuple(names):
            pairs = [*zip(self.names, names), (f"{len(self.names)} names", f"{len(names)}")]
            own, other = next(pair for pair in pairs if pair[0] != pair[1])
            self.expect(False, f"the landmarks of the table's header, {other!r} here", f"{own!r}", "make them agree")
        twice = [name for name in self.names if self.names.count(name) > 1]
        self.expect(not twice, "every landmark once", *(f"{name!r} twice" for name in twice[:1]))
        self.number = {name: i for i, name in enumerate(self.names)}

    def expect(self, right: object, expected: str, found: object = "", do: str = "correct it") -> None:
        if not right:
            found = found if isinstance(found, str) else json.dumps(found)
            raise DataError(f"{self.source}: expected {expected}, found {found}; {do}")

    def description(self) -> Description:
        joint, laterality = self.stored.get("joint", ""), self.stored.get("laterality", "")
        self.expect(isinstance(joint, str), "joint to be its name", joint)
        known = "laterality" not in self.stored or laterality in LATERALITIES
        self.expect(known, f"laterality to be one of {', '.join(LATERALITIES)}", laterality)
        skeleton, mirror = (tuple(self.landmarks(key, pair, (2,)) for pair in self.listed(key)) for key in ("skeleton", "mirror"))
        paired = [i for pair in mirror for i in pair]
        twice = [f"{self.names[i]!r} in two" for i in paired if paired.count(i) > 1]
        self.expect(not twice, "every landmark in one pair of mirror at most", *twice[:1])
        bends = self.landmarks("bends", self.stored["bends"], (3,)) if "bends" in self.stored else None
        late = tuple(i for name in self.listed("late") for i in self.landmarks("late", [name], (1,)))
        size = read_size(self.stored["pixel_mm"], f"{self.source}: pixel_mm") if "pixel_mm" in self.stored else None
        return Description(self.names, joint, skeleton, laterality, mirror, self.scale(), self.measures(), bends, late, size)

    def listed(self, key: str) -> list:
        value = self.stored.get(key, [])
        self.expect(isinstance(value, list), f"{key} to be a list", value)
        return value

    def landmarks(self, key: str, given: object, counts: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of some landmarks, named once each."""
        self.expect(are_names(given, *counts), f"{' or '.join(map(str, counts))} names of landmarks in {key}", given)
        unknown = [f"{name!r}" for name in given if name not in self.number]
        self.expect(not unknown, f"a landmark in {key}", *unknown[:1], do=f"its landmarks are {', '.join(self.names)}")
        self.expect(len(set(given)) == len(given), f"different landmarks in {key}", given)
        return tuple(self.number[name] for name in given)

    def scale(self) -> Scale | None:
        given = self.stored.get("scale")
        if given is None:
            return None
        complete = isinstance(given, dict) and {"landmarks", "mm"} <= given.keys() <= {"name", "landmarks", "mm"}
        self.expect(complete, 'scale to have "landmarks", "mm" and maybe "name"', given)
        name, mm = given.get("name", "scale"), given["mm"]
        number = isinstance(mm, int | float) and not isinstance(mm, bool) and 0 < mm < 1e6
        self.expect(are_names([name]) and number, "scale to have a name and millimetres above 0", given)
        return Scale(name, self.landmarks("scale", given["landmarks"], (2,)), float(mm))

    def measures(self) -> tuple[Defined, ...]:
        given = self.stored.get("measures", {})
        example = '{"SNA": {"angle": ["sella", "nasion", "A point"]}}'
        self.expect(isinstance(given, dict), f"measures to be an object, as {example}", given)
        defined: dict[str, Defined] = {}
        for name, value in given.items():
            kind, of = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
            measure = f"measure {name!r}"
            self.expect(kind in KINDS, f"{measure} to be one of {', '.join(KINDS)}", value)
            if kind == LARGEST:
                lines = [self.landmarks(measure, line, (2,)) for line in of] if isinstance(of, list) else []
                self.expect(len(lines) > 1, f"{measure} to be a list of two lines or more, each of two landmarks", of)
                made_of = tuple(i for line in lines for i in line)
            elif kind == "difference":
                both = are_names(of, 2) and all(other in defined for other in of)
                self.expect(both, f"{measure} to be the difference of two measures above it", of)
                lengths = {is_length(defined, other) for other in of}
                self.expect(len(lengths) == 1, f"{measure} to be the difference of two lengths, or of two angles", of)
                made_of = tuple(of)
            else:
                made_of = self.landmarks(measure, of, KINDS[kind])
            defined[name] = Defined(name, kind, made_of)
        return tuple(defined.values())


def is_length(defined: dict[str, Defined], name: str) -> bool:
    """Whether a measure is a length, or a difference of such."""
    while defined[name].kind == "difference":
        name = defined[name].of[0]
    return defined[name].kind == "length"


def are_names(value: object, *counts: int) -> bool:
    """Whether a value is a list of names, of one of some lengths."""
    listed = isinstance(value, list) and (not counts or len(value) in counts)
    return listed and all(isinstance(name, str) and name.strip() for name in value)


def read_description(path: Path, names: tuple[str, ...] | None = None, count: int | None = None) -> Description | None:
    """The description there; None where nothing is said. Raises DataError.

    `names` are those of the table's header, `count` says how many landmarks its rows have.
    """
    try:
        stored = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return Description(names) if names else None
    except ValueError as error:
        raise DataError(f"{path}: expected JSON, found something else ({error}); correct it") from error
    joint = Description.of_file(stored, path, names)
    if count not in (None, len(joint.names)):
        found = f"found {len(joint.names)}; name every landmark, in the order of the columns"
        raise DataError(f"{path}: expected the {count} landmarks of the table, {found}")
    return joint
