"""Which bones a hand has, how they are shaped and where they lie on its 37 landmarks.

Where the landmarks sit: MCP, on the middle of the proximal phalanx's base; PIP and DIP, in the notch of the head just
below the joint; tips, on the end of the tuft; metacarpal bases and the thumb's carpometacarpal joint, on the middle of
the base; 0, 2 and 3, 4, on the corners of the shafts of ulna and radius at the growth plate; 1 and 5, on the styloids; the
others on the proximal edge of their bone. Maturity runs from 0 (about six years) to 1 (grown up).

Points are (37, 2) as (x, y) px, or (37, 3) where fingers are bent: the third number is the height over the film, px.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from joints.hand import FINGERS, THUMB
from phantom.bones import Blob, Maps, Slab, draw_blob, draw_slab, smooth_outline, warp

# Half-widths over length, left and right alike unless `skew` says otherwise, at these fractions of the length.
KNOTS = np.array([0.0, 0.06, 0.14, 0.28, 0.45, 0.62, 0.78, 0.88, 0.95, 1.0])
WIDTHS = {
    "metacarpal": [0.094, 0.104, 0.094, 0.066, 0.053, 0.054, 0.074, 0.094, 0.096, 0.090],
    "thumb metacarpal": [0.140, 0.158, 0.148, 0.113, 0.100, 0.106, 0.132, 0.150, 0.148, 0.130],
    "proximal": [0.168, 0.176, 0.160, 0.127, 0.107, 0.098, 0.102, 0.115, 0.121, 0.112],
    "thumb proximal": [0.185, 0.200, 0.182, 0.138, 0.116, 0.112, 0.130, 0.154, 0.162, 0.142],
    "middle": [0.215, 0.240, 0.224, 0.180, 0.149, 0.138, 0.148, 0.168, 0.176, 0.162],
    "distal": [0.265, 0.298, 0.260, 0.180, 0.138, 0.126, 0.146, 0.170, 0.155, 0.105],
    "thumb distal": [0.200, 0.235, 0.212, 0.143, 0.102, 0.090, 0.106, 0.124, 0.118, 0.080],
}
CORTEX = np.array([0.20, 0.22, 0.32, 0.7, 1.0, 1.0, 0.7, 0.3, 0.22, 0.2])  # of the thickness at mid-shaft
SPONGY = np.array([0.85, 0.85, 0.78, 0.55, 0.4, 0.42, 0.6, 0.75, 0.78, 0.8])  # density of the marrow
PLATES = {"metacarpal": 4.0, "proximal": 11.0, "middle": 4.5, "distal": 2.5}  # px of compact bone under the base's cartilage
SHAFT_CORTEX = {"metacarpal": 6.2, "proximal": 5.6, "middle": 4.8, "distal": 3.2}  # px of compact bone at mid-shaft
ENDS = {  # base, head: how far their surfaces reach at the sides, as parts of the length, by the square and fourth power of q
    "metacarpal": ((-0.006, 0.022), (-0.022, -0.042)),  # a dome
    "thumb metacarpal": ((0.03, 0.0), (-0.05, -0.02)),
    "proximal": ((-0.05, 0.022), (0.05, -0.085)),  # a cup that droops over the metacarpal's dome; two condyles and a notch
    "thumb proximal": ((-0.05, 0.022), (0.05, -0.085)),
    "middle": ((0.035, -0.005), (0.05, -0.085)),  # a ridge that fits the notch
    "distal": ((0.025, 0.0), (-0.03, -0.02)),
    "thumb distal": ((0.025, 0.0), (-0.03, -0.02)),
}
DEPTH = {"metacarpal": 0.95, "proximal": 0.8, "middle": 0.8, "distal": 0.75}  # out of the plane over across it
PLATE = {  # thickness of the growth plate over the bone's length, just before it closes
    "metacarpal": 1 / 290, "thumb metacarpal": 1 / 220, "proximal": 1 / 200, "thumb proximal": 1 / 200, "middle": 1 / 150,
    "distal": 1 / 105, "thumb distal": 1 / 105,
}  # fmt: skip
EPIPHYSIS = {  # thickness of the epiphysis over the bone's length
    "metacarpal": 0.165, "thumb metacarpal": 0.13, "proximal": 0.092, "thumb proximal": 0.1, "middle": 0.105,
    "distal": 0.135, "thumb distal": 0.125,
}  # fmt: skip
CLOSES = {"metacarpal": 0.86, "proximal": 0.86, "middle": 0.84, "distal": 0.80}  # maturity at which the growth plate closes

# Outlines of the wrist in the frame of TEMPLATE: the mean positions of the landmarks 0-17, in 1/5000 of the centroid size.
TEMPLATE = np.array(
    [
        (-311, 913),
        (-273, 802),
        (-143, 919),
        (-112, 903),
        (192, 914),
        (188, 736),
        (-199, 741),
        (-81, 806),
        (62, 777),
        (-102, 657),
        (-1, 699),
        (160, 572),
        (224, 627),
        (-202, 464),
        (-114, 432),
        (5, 427),
        (153, 443),
        (306, 520),
    ],
    float,
)
# Name: the landmark on it, its vertices. The landmark is one of them.
CARPALS = {
    "capitate": (10, [
        (-62, 444), (-20, 438), (28, 440), (58, 460), (68, 502), (62, 545), (58, 585), (66, 625), (56, 667), (30, 692),
        (-1, 699), (-36, 690), (-60, 664), (-69, 620), (-67, 570), (-71, 520), (-72, 472),
    ]),
    "hamate": (9, [
        (-84, 460), (-78, 520), (-76, 590), (-82, 640), (-102, 657), (-128, 640), (-158, 606), (-195, 568),
        (-226, 530), (-230, 496), (-195, 466), (-145, 449), (-106, 446),
    ]),
    "triquetrum": (6, [
        (-222, 584), (-195, 594), (-160, 632), (-132, 668), (-128, 695), (-152, 722), (-199, 741), (-232, 723),
        (-256, 686), (-264, 645), (-249, 604),
    ]),
    "lunate": (7, [
        (-81, 806), (-130, 797), (-162, 768), (-165, 732), (-146, 703), (-112, 688), (-76, 694), (-43, 709),
        (-14, 736), (-10, 770), (-37, 797),
    ]),
    "scaphoid": (8, [
        (62, 777), (22, 770), (-2, 748), (0, 714), (28, 687), (57, 652), (74, 614), (106, 591), (150, 588), (187, 610),
        (205, 645), (198, 684), (168, 720), (132, 750), (95, 770),
    ]),
    "trapezoid": (11, [
        (160, 572), (116, 562), (84, 535), (75, 500), (84, 472), (122, 456), (166, 460), (194, 480), (203, 518),
        (190, 554),
    ]),
    "trapezium": (12, [
        (224, 627), (186, 612), (168, 582), (174, 538), (200, 502), (221, 470), (247, 465), (264, 493), (274, 530),
        (294, 566), (295, 598), (268, 621),
    ]),
}  # fmt: skip
THICK = {"capitate": 30, "hamate": 28, "triquetrum": 27, "lunate": 29, "scaphoid": 27, "trapezoid": 25, "trapezium": 25}  # half
RADIUS_EPIPHYSIS = [
    (188, 736), (205, 748), (213, 790), (209, 845), (198, 888), (120, 889), (40, 892), (-40, 893), (-98, 888),
    (-116, 862), (-112, 836), (-70, 826), (0, 814), (62, 800), (120, 775), (160, 750),
]  # fmt: skip
ULNA_EPIPHYSIS = [
    (-273, 802), (-256, 820), (-235, 839), (-200, 846), (-165, 850), (-142, 865), (-140, 892), (-166, 902),
    (-220, 903), (-279, 902), (-308, 886), (-306, 850), (-292, 816),
]  # fmt: skip
FOREARM = {"ulna": [0, 2], "radius": [3, 4]}  # the corners of the shafts at the growth plate
PISIFORM = [(-215, 592), (-186, 606), (-176, 650), (-190, 690), (-220, 704), (-248, 684), (-254, 640), (-240, 604)]
HAMATE_HOOK = [(-132, 486), (-112, 490), (-102, 512), (-112, 540), (-134, 546), (-154, 530), (-156, 504)]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.hypot(*vector)


def hand_scale(points: np.ndarray) -> float:
    """Size of a hand, 1 where the middle finger's tip is 732 px from its metacarpal base, or would be if it were not bent."""
    if points.shape[1] == 2:
        return np.hypot(*(points[28] - points[15])) / 732
    return np.linalg.norm(np.diff(points[list(FINGERS["middle"])], axis=0), axis=1).sum() / 732


def forearm_direction(points: np.ndarray) -> np.ndarray:
    """Unit vector from the hand towards the elbow, for points (37, 2)."""
    return unit((points[3] + points[4] + points[0] + points[2]) / 4 - points[15])


def foreshortening(points: np.ndarray, near: int, far: int) -> float:
    """Length on the film over the true length, from one landmark of points (37, 2 or 3) to another."""
    if points.shape[1] == 2:
        return 1.0
    step = points[far] - points[near]
    return float(np.hypot(*step[:2]) / np.linalg.norm(step))


def draw_bones(
    maps: Maps, points: np.ndarray, maturity: float, rng: np.random.Generator, draw_carpals: Callable | None = None
) -> None:
    """Add every bone of the hand with landmarks (37, 2 or 3), px, to the maps; `draw_carpals` in place of `draw_wrist`."""
    scale = hand_scale(points)
    solid, points = points, points[:, :2]
    build = rng.normal(1.06, 0.05)  # slender or sturdy, the whole hand alike
    strong = rng.uniform(0.75, 1.25)  # compact bone
    gap = scale * (2.4 + 8.0 * (1 - maturity)) * rng.uniform(0.75, 1.2)  # px, of the joints between the phalanges
    knuckle = scale * (5.5 + 11.0 * (1 - maturity)) * rng.uniform(0.85, 1.15)  # px, of the metacarpophalangeal joints

    def bone(kind, name, base, head, **more):
        draw_long_bone(maps, kind, name, base, head, build * rng.normal(1, 0.03), strong * scale, maturity, rng, **more)

    for finger, ray in FINGERS.items():
        carpal, mcp, pip, dip, tip = points[list(ray)]
        flat = [foreshortening(solid, near, far) for near, far in pairwise(ray)]
        skew = {"index": 0.12, "middle": 0.0, "ring": -0.05, "little": -0.1}[finger] + rng.normal(0, 0.04)
        slim = {"index": 1.05, "middle": 0.98, "ring": 0.95, "little": 1.12}[finger]
        bone("metacarpal", f"{finger} metacarpal", carpal, mcp - knuckle * unit(mcp - carpal), skew=skew, wide=slim)
        thick = {"little": 1.08, "index": 1.02}.get(finger, 1.0)
        bone("proximal", f"{finger} proximal", mcp, pip, wide=thick, flat=flat[1])
        middle, distal = pip + gap * flat[2] * unit(dip - pip), dip + gap * flat[3] * unit(tip - dip)
        bone("middle", f"{finger} middle", middle, dip, wide={"little": 1.15}.get(finger, 1.0), flat=flat[2])
        bone("distal", f"{finger} distal", distal, tip, wide={"little": 1.05}.get(finger, 1.0), flat=flat[3])
    cmc, mcp, ip, tip = points[list(THUMB)]
    flat = [foreshortening(solid, near, far) for near, far in pairwise(THUMB)]
    bone("thumb metacarpal", "thumb metacarpal", cmc, mcp - 0.7 * knuckle * unit(mcp - cmc), skew=rng.normal(0, 0.05))
    bone("thumb proximal", "thumb proximal", mcp, ip, skew=rng.normal(-0.05, 0.08), flat=flat[1])
    bone("thumb distal", "thumb distal", ip + gap * flat[2] * unit(tip - ip), tip, skew=rng.normal(0, 0.1), flat=flat[2])
    (draw_carpals or draw_wrist)(maps, points, scale, maturity, rng)
    draw_forearm(maps, points, scale, maturity, strong, rng)
    if rng.random() < (maturity - 0.35) * 1.3:  # sesamoids of the thumb, on its ulnar side
        along = unit(points[18] - points[17])
        across = np.array([along[1], -along[0]])  # towards the index finger
        for _ in range(rng.integers(1, 3)):
            centre = points[18] + scale * (rng.uniform(22, 32) * across + rng.uniform(-22, -6) * along)
            draw_blob(maps, round_blob("sesamoid", centre, scale * rng.uniform(6, 10), rng))


def round_blob(name: str, centre: np.ndarray, radius: float, rng: np.random.Generator) -> Blob:
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    radii = radius * rng.normal(1, 0.08, 8)
    outline = smooth_outline(centre + radii[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1), 24)
    return Blob(name, outline, radius * 0.8, radius, 1.2)


def draw_long_bone(maps, kind, name, base, head, build, strong, maturity, rng, skew=0.0, wide=1.0, flat=1.0) -> None:
    """A phalanx or metacarpal from its base to its head, (x, y) px, in two pieces while its growth plate is open.

    `build` and `wide` are factors on its width, `strong` one on its compact bone; `skew` makes its right side wider; `flat`
    is its length on the film over its true one, less than 1 where the finger is bent.
    """
    length = np.hypot(*(head - base))
    family = kind.removeprefix("thumb ")
    widths = np.array(WIDTHS[kind]) * (length / flat) * build * wide * (1 + rng.normal(0, 0.03, len(KNOTS)))
    at_head = family == "metacarpal" and kind != "thumb metacarpal"  # where the growth plate is
    tilt = rng.normal(0, 0.015) * length
    (low_square, low_fourth), (high_square, high_fourth) = np.array(ENDS[kind]) * length
    lower = (0.0, tilt, low_square, low_fourth)
    upper = (length, -0.6 * tilt, high_square, high_fourth)
    if flat < 1:
        widths, lower, upper = seen_from_the_end(widths, lower, upper, flat)
    mid_cortex = strong * SHAFT_CORTEX[family]
    slab = Slab(
        name, base, head, KNOTS * length, widths * (1 - skew), widths * (1 + skew), lower, upper,
        depth=(0.8 if kind == "thumb metacarpal" else DEPTH[family]) * rng.normal(1, 0.05) * min(1 / flat, 1.8),
        height=np.linspace(1.05, 0.6, len(KNOTS)) if family == "distal" else np.ones(1),
        cortex=np.minimum(CORTEX * mid_cortex, 0.6 * widths), bend=rng.normal(0, 0.006) * length,
        spongy=SPONGY * rng.uniform(0.85, 1.1) * (np.linspace(1, 0.55, len(KNOTS)) if family == "distal" else 1),
        end_cortex=rng.uniform(1.4, 2.2) * strong ** 0.5,
        plates=(strong * PLATES[family] * rng.uniform(0.6, 1.4), strong * (0.0 if family == "distal" else 2.0)),
    )  # fmt: skip

    closing = CLOSES[family] + rng.normal(0, 0.02) - maturity
    if closing <= 0:  # grown together
        draw_slab(maps, slab)
        return
    plate = PLATE[kind] * length * (1.0 + 4.0 * min(closing, 0.6)) * rng.uniform(0.7, 1.3)
    thick = EPIPHYSIS[kind] * length * (0.6 + 0.5 * min(maturity / 0.7, 1)) * rng.normal(1, 0.12)
    narrow = 0.68 + 0.36 * min(maturity / 0.6, 1) + rng.normal(0, 0.03)  # the epiphysis against the shaft
    wave = rng.normal(0, 0.012, 2) * length
    shaft, cap = Slab(**vars(slab)), Slab(**vars(slab))
    cap.left, cap.right, cap.rounding = slab.left * narrow, slab.right * narrow, 0.6
    cap.cortex = np.full(len(KNOTS), 1.6)
    cap.spongy = np.array([1.0 if at_head else 0.85])
    if at_head:
        top = length - thick
        cap.plates, shaft.plates = (3 * strong, slab.plates[1]), (slab.plates[0], 4 * strong)
        cap.lower = (top, wave[0], 0.012 * length, 0.01 * length)
        shaft.upper = (top - plate, wave[0], 0.012 * length - 0.01 * length, 0.0)
        cap.end_cortex = shaft.end_cortex * 0.8
    else:
        cap.plates, shaft.plates = (slab.plates[0], 1.0 * strong), (3 * strong, slab.plates[1])
        cap.upper = (thick, wave[0], -0.006 * length, -0.01 * length)
        shaft.lower = (thick + plate, wave[0], 0.0, -0.004 * length)
        if family in ("middle", "distal"):
            cap.lower = (0.0, lower[1], lower[2] * 0.8, lower[3])
    draw_slab(maps, shaft)
    draw_slab(maps, cap)


def seen_from_the_end(widths: np.ndarray, lower: tuple, upper: tuple, flat: float) -> tuple[np.ndarray, tuple, tuple]:
    """A long bone's half-widths px and end curves, less waisted and rounder the less of its length the film shows (`flat`)."""
    aside = np.sqrt(1 - flat * flat)
    widths = flat * widths + (1 - flat) * 0.9 * widths.max()
    bulge = 0.35 * aside * widths.mean()
    lower = (lower[0] - bulge, lower[1], flat * lower[2] + 1.6 * bulge, flat * lower[3])
    upper = (upper[0] + bulge, upper[1], flat * upper[2] - 1.6 * bulge, flat * upper[3])
    return widths, lower, upper


def vary(vertices, fixed: np.ndarray, shrink: float, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """Outline vertices shrunk around the landmark on them and moved a little, the landmark kept where it is."""
    vertices = np.array(vertices, float)
    weight = 1 - np.exp(-((np.linalg.norm(vertices - fixed, axis=1, keepdims=True) / 40) ** 2))
    return fixed + (vertices - fixed) * shrink + rng.normal(0, wobble, vertices.shape) * weight


def draw_wrist(maps: Maps, points: np.ndarray, scale: float, maturity: float, rng: np.random.Generator) -> None:
    """The eight carpal bones: outlines in the template's frame, warped so that every landmark meets its own."""

    def place(vertices):
        return smooth_outline(warp(TEMPLATE, points[:18], vertices))

    grown = min(maturity / 0.75, 1)
    size = 0.80 + 0.29 * grown
    for name, (landmark, vertices) in CARPALS.items():
        shrink = size * rng.normal(1, 0.025) - (0.08 * (1 - grown) if name in ("lunate", "scaphoid", "trapezoid") else 0)
        outline = place(vary(vertices, TEMPLATE[landmark], shrink, 3.5, rng))
        depth, rounding = scale * THICK[name] * rng.normal(1, 0.08), scale * rng.uniform(18, 26)
        compact = scale * rng.uniform(1.6, 2.6)
        draw_blob(maps, Blob(name, outline, depth, rounding, compact, rng.uniform(0.8, 1.0)))
    if maturity > 0.45 + rng.normal(0, 0.05):
        shift = rng.normal(0, 9, 2)
        outline = place(vary(np.array(PISIFORM) + shift, np.array([-215.0, 650]) + shift, rng.uniform(0.75, 1.05), 3, rng))
        draw_blob(maps, Blob("pisiform", outline, 15 * scale, 15 * scale, 1.8 * scale, 0.8))
    if maturity > 0.55 + rng.normal(0, 0.08):
        shift = rng.normal(0, 8, 2)
        outline = place(vary(np.array(HAMATE_HOOK) + shift, np.array([-130.0, 515]) + shift, rng.uniform(0.8, 1.15), 2, rng))
        draw_blob(maps, Blob("hook of hamate", outline, 7 * scale, 9 * scale, 3.5 * scale, 0.6))


def draw_forearm(maps: Maps, points: np.ndarray, scale: float, maturity: float, strong: float, rng: np.random.Generator) -> None:
    """Radius and ulna: their shafts, to below the picture, and their epiphyses."""
    fused = maturity > 0.92 + rng.normal(0, 0.02)
    down = unit(forearm_direction(points) + rng.normal(0, 0.045, 2))
    for name in FOREARM:
        draw_forearm_shaft(maps, points, name, down, scale, strong, rng)
        vertices = np.array(RADIUS_EPIPHYSIS if name == "radius" else ULNA_EPIPHYSIS, float)
        tip = TEMPLATE[5] if name == "radius" else TEMPLATE[1]
        grown = min(0.45 + maturity * 0.85, 1) if name == "ulna" else min(0.72 + maturity * 0.45, 1)
        reach_down = 16 if fused else np.clip(14 - 24 * (0.92 - maturity), -3, 12) + rng.normal(0, 1.5)
        vertices[:, 1] += reach_down * np.clip((vertices[:, 1] - 860) / 30, 0, 1)  # grown down towards the shaft
        outline = smooth_outline(warp(TEMPLATE, points[:18], vary(vertices, tip, grown * rng.normal(1, 0.02), 3, rng)), 48)
        depth = (42 if name == "radius" else 30) * scale
        draw_blob(maps, Blob(f"{name} epiphysis", outline, depth, 13 * scale, 2.2 * scale, 0.95))


def draw_forearm_shaft(maps, points, name, down, scale, strong, rng) -> None:
    """The shaft of "ulna" or "radius", from the corners of its growth plate to below the picture, along a unit vector `down`."""
    rows = maps.cortex.shape[0]
    left, right = points[FOREARM[name]]
    head = (left + right) / 2
    along, across = -down, np.array([down[1], -down[0]])
    half = abs((right - left) @ across) / 2
    slope = (right - left) @ along / 2
    reach = max(rows - head[1], 20) * 1.6 + 60
    knots = reach + half * np.array([-8.0, -2.6, -1.6, -1.0, -0.6, -0.3, -0.12, 0.0, 0.4])
    shrink = np.array([0.60, 0.62, 0.68, 0.78, 0.88, 0.96, 1.0, 1.0, 1.0]) + (0.08 if name == "ulna" else 0)
    inner = np.minimum(shrink + rng.uniform(0, 0.06), 1)
    outer = np.minimum(shrink + rng.uniform(0.04, 0.14), 1)
    left_side, right_side = (outer, inner) if name == "ulna" else (inner, outer)
    cortex = np.array([9, 8, 6, 4, 3, 2, 1.6, 1.6, 1.6]) * (0.75 if name == "ulna" else 1)
    spongy = np.array([0.5, 0.6, 0.75, 0.9, 1, 1, 1, 1, 1]) * 0.9
    if reach > 14 * half:  # a long forearm: on to below the picture, a little slimmer
        knots, cortex, spongy = np.append(-50.0, knots), np.append(10, cortex), np.append(0.45, spongy)
        left_side, right_side = (np.append(side[0] - 0.1, side) for side in (left_side, right_side))
    left_side, right_side = np.interp(knots + slope, knots, left_side), np.interp(knots - slope, knots, right_side)
    wide = 1.035  # the rounding takes off as much at the corners
    slab = Slab(
        name, head - reach * along, head, knots, half * wide * left_side, half * wide * right_side,
        (-50.0, 0.0, 0.0, 0.0), (reach + 1.5 * scale, slope, 0.0, 0.0),
        depth=0.62 if name == "radius" else 1.25, cortex=scale * strong * cortex, end_cortex=2.6 * scale,
        spongy=spongy, rounding=0.16, plates=(0.0, 8 * scale * strong),
    )  # fmt: skip
    draw_slab(maps, slab)
