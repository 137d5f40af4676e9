"""Writes the page that anyone can try: static files for any host, the model, ONNX Runtime, two synthetic radiographs."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import imageio.v3 as iio

from phantom.drawing import draw_hand
from portable.export import export_model
from prediction.predictor import Predictor
from runtime.files import DataError, write_whole

PAGE = Path(__file__).with_name("page")
RUNTIME, VERSION, LICENCE = "onnxruntime-web", "1.30.0", "MIT"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")  # WebAssembly with SIMD and threads
EXAMPLES = {"example_1.png": 3, "example_2.png": 8}  # seeds of synthetic radiographs
NOTICE = (
    f"ort/ holds {', '.join(FILES)} of the npm package {RUNTIME} {VERSION} (licence {LICENCE}, "
    "https://github.com/microsoft/onnxruntime/blob/main/LICENSE), as they came.\n"
    "example_1.png and example_2.png are synthetic radiographs. Serve this folder by any static host, or python -m http.server.\n"
)


def export_demo(predictor: Predictor, folder: Path) -> None:
    """Write the folder. Raises DataError where it is there already, or where npm does not give the runtime's files."""
    if folder.exists():
        raise DataError(f"{folder}: is there already; remove it, or choose another name")
    with tempfile.TemporaryDirectory() as work:
        files = runtime_files(Path(work))
    export_model(predictor, folder / "model")
    files |= {path.name: path.read_bytes() for path in PAGE.iterdir()} | {"NOTICE.txt": NOTICE.encode()}
    files |= {name: iio.imwrite("<bytes>", draw_hand(seed)[0], extension=".png") for name, seed in EXAMPLES.items()}
    content = (folder / "model" / "model.json").read_bytes() + b"".join(files.values())
    files["sw.js"] = files["sw.js"].replace(b"DIGEST", hashlib.sha256(content).hexdigest()[:16].encode())
    (folder / "ort").mkdir()
    for name, content in files.items():
        write_whole(folder / name, content)
    print(f"written to {folder}: the page; to see it: python -m http.server --directory {folder}")


def runtime_files(work: Path) -> dict[str, bytes]:
    """The runtime's files, from npm, which checks their digest. Raises DataError."""
    package = f"{RUNTIME}@{VERSION}"
    if not (npm := shutil.which("npm")):
        raise DataError(f"--export-demo: needs npm, which fetches {package} and is not installed; install Node.js")
    ran = subprocess.run([npm, "pack", package, "--json"], cwd=work, capture_output=True, text=True)
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(f"--export-demo: npm cannot fetch {package} ({reason}); try again where the registry is reached")
    with tarfile.open(work / json.loads(ran.stdout)[0]["filename"]) as archive:
        return {f"ort/{name}": archive.extractfile(f"package/dist/{name}").read() for name in FILES}
