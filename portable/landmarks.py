"""Landmarks in radiographs by the ONNX graphs of this folder, with NumPy and onnxruntime alone.

    from landmarks import Model
    hands = Model("FOLDER")(picture)  # grey values (rows, columns) of any numbers, bone bright or dark

A hand is a dictionary: `points` (L, 2) as (x, y) px of the picture, where the centre of the first pixel is (0, 0); `confidence`
(L,); `ellipses` (L, 3), the long and the short semi-axis (px) and the long one's angle (degrees, from x towards y) of regions
that hold the truth with the probability that model.json says; `landmark_flags` (L) and `flags`, texts; `orientation`, `side`,
`evidence`. As a command it reads a picture that `numpy.save` wrote and prints a table: python landmarks.py picture.npy
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

LEAST = 8  # px: a picture that is narrower shows nothing
UPRIGHT = 15  # degrees, up to which a hand is called so


class Model:
    def __init__(self, folder: Path | str, threads: int = 0):
        """`threads` that compute; 0: all cores."""
        self.about = json.loads((Path(folder) / "model.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.sessions = {
            name: onnxruntime.InferenceSession(Path(folder) / graph["file"], options, providers=["CPUExecutionProvider"])
            for name, graph in self.about["graphs"].items()
        }

    def call(self, graph: str, **inputs) -> dict[str, np.ndarray]:
        found = self.sessions[graph].run(None, {f"in_{name}": np.asarray(value) for name, value in inputs.items()})
        return dict(zip(self.about["graphs"][graph]["outputs"], found))

    def __call__(self, picture: np.ndarray) -> list[dict]:
        """The hands from left to right; one at least, whatever the picture shows. Raises ValueError for what is no picture."""
        picture = np.asarray(picture)
        if picture.ndim != 2 or min(picture.shape) < LEAST:
            raise ValueError(f"expected grey values (rows, columns) of {LEAST} px or more, found an array of {picture.shape}")
        low, high = float(picture.min()), float(picture.max())
        span, size = high - low, max(abs(low), abs(high))
        if not 0 < span < np.inf:
            raise ValueError(f"expected finite grey values that differ, found {low:g} to {high:g}")
        if not 1e-6 < size < 1e9 or span < 1e-3 * size:  # single precision would not hold the differences or their squares
            picture = (picture - np.float64(low)) / span
        picture = np.ascontiguousarray(picture, np.float32)
        opened = self.call("opened", picture=picture)
        candidates = [one | self.look(picture, one) for one in self.find(picture, opened)]
        self.retry(picture, candidates)
        pending = candidates if self.about["finder"] else []
        for run in range(1, self.about["runs"] + 1):  # after the last one only the evidence is taken
            moved = []
            for one in pending:
                found = self.correct(one, opened["size"])
                one["evidence"] = float(found["evidence"])
                if found["moved"] and run < self.about["runs"]:
                    one.update({name: found[name] for name in ("hand", "view", "is_whole")})
                    one.update(self.look(picture, one))
                    moved.append(one)
            pending = moved
        for one in candidates:
            if "second" in self.sessions:
                one.update(self.look_again(picture, one))
            given = {name: one[name] for name in ("points", "confidence", "covariances", "view", "hand")}
            one["is"] = self.call("conclude", size=opened["size"], **given)
        return self.hands(candidates)

    def find(self, picture: np.ndarray, opened: dict) -> list[dict]:
        """Where hands lie, and the views that the network is to see of them."""
        if not self.about["finder"]:
            return [{"hand": opened["hand"], "view": opened["whole"], "is_whole": True, "negative": -1, "darkened": False}]
        seen, others, hands = self.peaks(picture, opened["letterbox"], opened["border"]), np.zeros((self.about["most"], 6)), []
        while len(hands) < self.about["most"]:
            placed = self.call("place", **seen, others=others)
            if not placed["accepted"]:
                break
            seen["heights"], others[len(hands)] = placed["heights"], placed["placement"]
            again = self.peaks(picture, placed["view"], opened["border"])
            hands.append(self.call("settle", placement=placed["placement"], **again)["hand"])
        hands, alone = hands or [opened["hand"]], len(hands) < 2
        made = {"alone": alone, "negative": -1, "darkened": False}
        return [{"hand": hand} | made | self.call("aim", hand=hand, size=opened["size"], alone=alone) for hand in hands]

    def peaks(self, picture: np.ndarray, view: np.ndarray, border: np.ndarray) -> dict:
        """What the finder sees in a view: peaks and their heights."""
        side = self.about["finder_side"]
        planned = self.call("plan", view=view, frame=np.array([side, side]))
        square = self.sample(picture, view, planned["halvings"], planned["taps"], (side, side), border=border)
        return self.call("see", square=square, view=view)

    def sample(self, picture, view, halvings, taps, frame, **border) -> np.ndarray:
        """A view of a picture (height, width) of `frame`."""
        for _ in range(halvings):
            picture, view = self.call("halve", picture=picture, view=view).values()
        rows, columns, taps = (np.arange(count, dtype=float) for count in (*frame, taps))
        graph = "sample_filled" if border else "sample"
        return self.call(graph, picture=picture, view=view, rows=rows, columns=columns, taps=taps, **border)["picture"]

    def shown(self, picture: np.ndarray, one: dict, detail: bool) -> np.ndarray:
        """What a network sees of a candidate, before its grey values are matched."""
        planned = self.call("plan", view=one["view"], frame=np.array(self.about["frame"]))
        if detail:
            frame, view = planned["detail_size"], planned["detail_view"]
            counts = planned["detail_halvings"], planned["detail_taps"]
        else:
            frame, view, counts = self.about["frame"], one["view"], (planned["halvings"], planned["taps"])
        if one["is_whole"]:
            rows, columns = (np.arange(count, dtype=float) for count in frame)
            return self.call("resize_to", picture=picture, rows=rows, columns=columns)["picture"]
        return self.sample(picture, view, *counts, frame)

    def look(self, picture: np.ndarray, one: dict) -> dict:
        shown = self.shown(picture, one, detail=False)
        return self.call("first", framed=shown, negative=int(one["negative"]), darkened=one["darkened"])

    def look_again(self, picture: np.ndarray, one: dict) -> dict:
        shown, given = self.shown(picture, one, detail=True), {name: one[name] for name in ("points", "negative", "darkened")}
        return self.call("second", picture=shown, **given)

    def retry(self, picture: np.ndarray, candidates: list[dict]) -> None:
        """Exchange bright and dark where the network is unsure, darken a bright background, and keep the surest of these."""

        def other(one: dict, **changes) -> dict:
            return one | changes | self.look(picture, one | changes)

        unsure = [one for one in candidates if self.about["finder"] and one["mean"] < self.about["unsure"]]
        exchanged = [(one, other(one, negative=1 - one["negative"])) for one in unsure]
        either = [(one, one) for one in candidates] + exchanged
        dark = [(one, other(changed, darkened=True)) for one, changed in either if changed["bright"]]
        for one, changed in exchanged + dark:
            if changed["mean"] > one["mean"]:
                one.update(changed)

    def correct(self, one: dict, size: np.ndarray) -> dict:
        return self.call("correct", size=size, **{name: one[name] for name in ("points", "confidence", "hand", "view", "alone")})

    def hands(self, candidates: list[dict]) -> list[dict]:
        """The surest stays; others that are no hands, or found twice, are dropped."""
        about, kept = self.about, []
        for one in candidates:
            one.setdefault("evidence", float(one["confidence"].clip(0, 1).mean()))
        for one in sorted(candidates, key=lambda one: -one["evidence"]):
            if not kept or (one["evidence"] >= about["least_evidence"] and not any(self.same(one, other) for other in kept)):
                kept.append(one)
        return [self.described(one) for one in sorted(kept, key=lambda one: one["is"]["centre"][0])]

    def same(self, one: dict, other: dict) -> bool:
        """Whether two candidates are one hand."""
        apart = np.hypot(*(one["is"]["centre"] - other["is"]["centre"]))
        return apart < self.about["same"] * max(one["is"]["unit"], other["is"]["unit"])

    def described(self, one: dict) -> dict:
        about, found, mirrored = self.about, one["is"], bool(one["hand"][4])
        names, turned = about["flags"], int(found["degrees"])
        some = [name for name, any_is in zip(names["of_landmarks"], found["landmark_flags"].any(0)) if any_is]
        flags = [names["of_radiographs"][name] for name in some if name in names["of_radiographs"]]
        if found["alien"]:
            flags = [names["alien"]]
        if one["evidence"] < about["least_evidence"]:
            flags = [names["absent"]]
        if not one["outlined"] and about["outlined"]:
            flags.append(names["no_outline"])
        lies = [f"turned by {turned} degrees"] if abs(turned) > UPRIGHT else []
        lies += ["mirrored"] * mirrored + ["inverted"] * int(one["negative"] > 0)
        return {
            "points": found["points"],
            "confidence": one["confidence"],
            "ellipses": found["ellipses"],
            "landmark_flags": ["; ".join(np.array(names["of_landmarks"])[row].tolist()) for row in found["landmark_flags"]],
            "flags": flags,
            "orientation": ", ".join(lies) or "upright",
            "side": about["sides"][mirrored],
            "evidence": one["evidence"],
        }


if __name__ == "__main__":
    model, table = Model(Path(__file__).parent), csv.writer(sys.stdout)
    columns = "hand side landmark name x y confidence semi_major semi_minor angle landmark_flags flags orientation"
    table.writerow(columns.split())
    for number, hand in enumerate(model(np.load(sys.argv[1])), 1):
        for i, name in enumerate(model.about["landmarks"]):
            values = *hand["points"][i], hand["confidence"][i], *hand["ellipses"][i]
            texts = hand["landmark_flags"][i], "; ".join(hand["flags"]), hand["orientation"]
            table.writerow([number, hand["side"], i, name, *(f"{value:.3f}" for value in values), *texts])
