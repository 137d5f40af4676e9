"""The description of a joint: what its landmarks are called, what joins them, which side it is of, what is measured on it.

It comes from `joint.json` beside the table of landmarks, and goes with the prepared data and the weights to every output:

    {"joint": "knee",
     "landmarks": ["femur medial", "femur lateral", "tibia medial", "tibia lateral"],
     "skeleton": [["femur medial", "tibia medial"], ["femur lateral", "tibia lateral"]],
     "laterality": "right",
     "mirror": [],
     "scale": {"name": "ball", "landmarks": ["femur medial", "femur lateral"], "mm": 25},
     "measures": {"width": {"length": ["tibia medial", "tibia lateral"]},
                  "valgus": {"angle": ["femur medial", "femur lateral", "tibia medial", "tibia lateral"]}}}

All but the landmarks may be left out, and they too where the table's header names them. docs/your_joint.md explains each.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from radiographs.pixel_size import read_size
from runtime.files import DataError

LATERALITIES = ("left", "right", "either", "none")
# What a measure is made of: how many landmarks, or for a difference two other measures.
# length: of a line; angle: at the second of three landmarks, 0 to 180 degrees, or of four between the lines of the first and of
# the last two; bend: how far three landmarks are from straight, signed as "bends" says; difference: the first less the second.
KINDS = {"length": (2,), "angle": (3, 4), "bend": (3,), "difference": (2,)}
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
        called = [list(map(self.names.__getitem__, pair)) for pair in self.skeleton]
        stored = {"joint": self.joint, "landmarks": list(self.names), "skeleton": called}
        if self.laterality:
            stored["laterality"] = self.laterality
        stored["mirror"] = [[self.names[a], self.names[b]] for a, b in self.mirror]
        if self.scale:
            ends = [self.names[i] for i in self.scale.landmarks]
            stored["scale"] = {"name": self.scale.name, "landmarks": ends, "mm": self.scale.mm}
        stored["measures"] = {
            one.name: {one.kind: [of if one.kind == "difference" else self.names[of] for of in one.of]} for one in self.measures
        }
        if self.bends:
            stored["bends"] = [self.names[i] for i in self.bends]
        if self.late:
            stored["late"] = [self.names[i] for i in self.late]
        if self.pixel_mm:
            stored["pixel_mm"] = list(self.pixel_mm[::-1])
        return stored

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
        self.source = source
        if not isinstance(stored, dict):
            raise self.wrong("an object with some of the keys " + ", ".join(KEYS), stored)
        if unknown := [key for key in stored if key not in KEYS]:
            raise self.wrong("only the keys " + ", ".join(KEYS), unknown[0])
        self.stored = stored
        listed = stored.get("landmarks")
        if listed is not None and not (isinstance(listed, list) and listed and all(map(is_name, listed))):
            raise self.wrong("landmarks to be a list of names", listed)
        if listed is None and names is None:
            raise self.wrong('"landmarks", a list of names, or a header NAME_x,NAME_y,... in the table', "neither")
        if listed and names and tuple(listed) != tuple(names):
            first = next((pair for pair in zip(listed, names) if pair[0] != pair[1]), (f"{len(listed)} names", f"{len(names)}"))
            raise self.wrong(f"the landmarks of the table's header, {first[1]!r} here", f"{first[0]!r}", "make them agree")
        self.names = tuple(listed or names)
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise self.wrong("every landmark once", f"{twice[0]!r} twice")
        self.number = {name: i for i, name in enumerate(self.names)}

    def wrong(self, expected: str, found: object, do: str = "correct it") -> DataError:
        found = found if isinstance(found, str) else json.dumps(found)
        return DataError(f"{self.source}: expected {expected}, found {found}; {do}")

    def description(self) -> Description:
        stored = self.stored
        joint = stored.get("joint", "")
        if not isinstance(joint, str):
            raise self.wrong("joint to be its name", joint)
        laterality = stored.get("laterality", "")
        if "laterality" in stored and laterality not in LATERALITIES:
            raise self.wrong(f"laterality to be one of {', '.join(LATERALITIES)}", laterality)
        skeleton = tuple(self.landmarks("skeleton", pair, (2,)) for pair in self.listed("skeleton"))
        mirror = tuple(self.landmarks("mirror", pair, (2,)) for pair in self.listed("mirror"))
        paired = [i for pair in mirror for i in pair]
        if twice := [i for i in paired if paired.count(i) > 1]:
            raise self.wrong("every landmark in one pair of mirror at most", f"{self.names[twice[0]]!r} in two")
        bends = self.landmarks("bends", stored["bends"], (3,)) if "bends" in stored else None
        late = tuple(i for name in self.listed("late") for i in self.landmarks("late", [name], (1,)))
        pixel_mm = read_size(stored["pixel_mm"], f"{self.source}: pixel_mm") if "pixel_mm" in stored else None
        return Description(self.names, joint, skeleton, laterality, mirror, self.scale(), self.measures(), bends, late, pixel_mm)

    def listed(self, key: str) -> list:
        value = self.stored.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(f"{key} to be a list", value)
        return value

    def landmarks(self, key: str, given: object, counts: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of some landmarks, named once each."""
        if not isinstance(given, list) or len(given) not in counts or not all(map(is_name, given)):
            raise self.wrong(f"{' or '.join(map(str, counts))} names of landmarks in {key}", given)
        if unknown := [name for name in given if name not in self.number]:
            raise self.wrong(f"a landmark in {key}", f"{unknown[0]!r}", f"its landmarks are {', '.join(self.names)}")
        if len(set(given)) < len(given):
            raise self.wrong(f"different landmarks in {key}", given)
        return tuple(self.number[name] for name in given)

    def scale(self) -> Scale | None:
        given = self.stored.get("scale")
        if given is None:
            return None
        if not isinstance(given, dict) or not {"landmarks", "mm"} <= given.keys() <= {"name", "landmarks", "mm"}:
            raise self.wrong('scale to have "landmarks", "mm" and maybe "name"', given)
        name, mm = given.get("name", "scale"), given["mm"]
        if not is_name(name) or isinstance(mm, bool) or not isinstance(mm, int | float) or not 0 < mm < 1e6:
            raise self.wrong("scale to have a name and millimetres above 0", given)
        return Scale(name, self.landmarks("scale", given["landmarks"], (2,)), float(mm))

    def measures(self) -> tuple[Defined, ...]:
        given = self.stored.get("measures", {})
        if not isinstance(given, dict):
            raise self.wrong('measures to be an object, as {"SNA": {"angle": ["sella", "nasion", "A point"]}}', given)
        defined: dict[str, Defined] = {}
        for name, value in given.items():
            kind, of = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
            if kind not in KINDS:
                raise self.wrong(f"measure {name!r} to be one of {', '.join(KINDS)}", value)
            if kind != "difference":
                defined[name] = Defined(name, kind, self.landmarks(f"measure {name!r}", of, KINDS[kind]))
                continue
            if not isinstance(of, list) or len(of) != 2 or not all(is_name(other) and other in defined for other in of):
                raise self.wrong(f"measure {name!r} to be the difference of two measures above it", of)
            if (defined[of[0]].kind == "length") != (defined[of[1]].kind == "length"):
                raise self.wrong(f"measure {name!r} to be the difference of two lengths, or of two angles", of)
            defined[name] = Defined(name, kind, tuple(of))
        return tuple(defined.values())


def is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def read_description(path: Path, names: tuple[str, ...] | None = None) -> Description | None:
    """The description there, `names` being those of the table's header; None where nothing is said. Raises DataError."""
    try:
        stored = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return Description(names) if names else None
    except ValueError as error:
        raise DataError(f"{path}: expected JSON, found something else ({error}); correct it") from error
    return Description.of_file(stored, path, names)
