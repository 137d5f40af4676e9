"""Which radiograph is worth the reader's time next, which come again, and which are shown without proposals."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from labelling.marks import DONE
from labelling.proposals import Proposal
from labelling.store import AGAIN, FIRST, Key, Store

BLIND_SHARE = 0.1  # of the radiographs are shown without proposals, to measure the anchoring bias
AGAIN_SHARE = 0.1  # of the radiographs come again
AGAIN_AFTER = 5  # radiographs that must have been done in between
EARLY = 20  # radiographs done, below which doubt is no guide: those that represent the set teach more than the oddest ones
MOST = 1000  # radiographs that are compared with each other
SIDE = 16  # px of the small picture that radiographs are compared by


def chance(*words: object) -> float:
    """A number from 0 to 1 that is always the same for the same words."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def is_blind(reader: str, id: str) -> bool:
    """Whether a reader does not get to see proposals on a radiograph."""
    return chance("blind", reader, id) < BLIND_SHARE


def small_picture(pixels: np.ndarray) -> np.ndarray:
    """(rows, columns) -> (SIDE²,) with mean 0 and length 1: what radiographs are compared by."""
    rows, columns = (np.linspace(0, side, SIDE + 1).astype(int) for side in pixels.shape)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), rows[:-1], 0), columns[:-1], 1)
    means = (sums / np.outer(np.diff(rows), np.diff(columns))).ravel()
    centred = means - means.mean()
    return (centred / (np.linalg.norm(centred) or 1)).astype(np.float32)


def representatives(features: np.ndarray) -> Iterator[int]:
    """Numbers of the rows of features (N, D) in the order in which they represent all best.

    Each one is that which brings most rows nearer to a chosen one: the first is the most typical, the next of another kind.
    """
    distance = 1 - features @ features.T
    nearest = np.full(len(features), distance.max() + 1)
    left = set(range(len(features)))
    while left:
        candidates = np.array(sorted(left))
        gain = np.maximum(nearest[:, None] - distance[:, candidates], 0).sum(0)
        best = int(candidates[gain.argmax()])
        left.remove(best)
        nearest = np.minimum(nearest, distance[:, best])
        yield best


@dataclass
class Order:
    """What to do next, for one reader."""

    store: Store
    ids: list[str]
    ranked: list[str] = field(default_factory=list)  # the first of `ids` to do while there are no proposals
    reading_again: bool = True
    passed: dict[str, int] = field(default_factory=dict)  # left undone for another one, and when: those come last
    passed_again: set[str] = field(default_factory=set)  # second readings left undone
    given: Key | None = None  # what came last

    def next(self, proposals: dict[str, Proposal], after: str | None = None, peek: bool = False) -> Key | None:
        """The radiograph that helps most, `after` left aside; None where all are done. `peek`: only asked in advance."""
        with self.store.lock:
            if after in self.ids and not peek:
                if self.given == (after, AGAIN):
                    self.passed_again.add(after)
                self.passed[after] = max(self.passed.values(), default=0) + 1
            if again := self.due_again(after):
                key = again, AGAIN
            else:
                key = next(((id, FIRST) for id in self.queue(proposals) if id != after), None)
            if not peek:
                self.given = key
        return key

    def queue(self, proposals: dict[str, Proposal]) -> list[str]:
        """What is not done: while little is, by how well they represent the set; then least sure first, then the others.

        Where a network disagrees, also what was done before and is not looked at yet.
        """
        rank = {id: number for number, id in enumerate(self.ranked)}
        # a copy is gone through, since proposals arrive meanwhile
        to_review = {id for id, proposal in list(proposals.items()) if proposal.disagrees and id not in self.passed}
        done = set(self.store.done()) - to_review
        left = [id for id in self.ids if id not in done]
        early = self.ranked and len(self.ids) - len(left) < EARLY

        def worth(id: str) -> tuple:
            proposal = None if early else proposals.get(id)
            known = proposal is not None and proposal.doubt == proposal.doubt
            doubt = (not proposal.reviewed, -proposal.doubt) if known else ()
            return self.passed.get(id, 0), not known, doubt, rank.get(id, len(rank))

        return sorted(left, key=worth)

    def due_again(self, after: str | None) -> str | None:
        """A radiograph to read a second time, now and then, long enough after the first time."""
        if not self.reading_again:
            return None
        there = set(self.ids)  # what was done may have been moved away
        done = {id: item.finished for id in self.store.done() if (item := self.store.item((id, FIRST))).by_person and id in there}
        begun = [id for (id, reading) in self.store.items if reading == AGAIN and id in there]
        for id in begun:
            if self.store.item((id, AGAIN)).state != DONE and id != after and id not in self.passed_again:
                return id
        tried = {*begun, *self.passed_again}
        if len(tried) >= AGAIN_SHARE * len(done):
            return None
        old = sorted(done, key=done.__getitem__)[:-AGAIN_AFTER]
        fresh = set(old) - tried - {after, self.store.first_done(there)}  # the first one is what the guide shows
        return min(fresh, key=lambda id: chance("again", self.store.reader, id), default=None)
