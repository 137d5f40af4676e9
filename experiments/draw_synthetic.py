"""Draws docs/drawn_hands.jpg: twelve drawn hands with their landmarks.

python docs/draw_sheet.py
"""

import io
import sys
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from phantom.drawing import draw_hand  # noqa: E402
from runtime.files import write_whole  # noqa: E402

SEED, COUNT = 0, 12


def main() -> None:
    figure = Figure(figsize=(15, 13), layout="constrained")
    for number, axes in enumerate(figure.subplots(3, 4).flat, 1):
        picture, points = draw_hand([SEED, number])  # the first of `phantom.py --seed 0`
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.plot(*points.T, ".", color="red", markersize=3)
        axes.set_title(f"drawn_{number:05d}", fontsize=9)
        axes.axis("off")
    content = io.BytesIO()
    figure.savefig(content, format="jpg", dpi=100, pil_kwargs={"quality": 85})
    write_whole(HERE / "drawn_hands.jpg", content.getbuffer())


if __name__ == "__main__":
    main()
