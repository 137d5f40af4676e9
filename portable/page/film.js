// A file as grey values: pictures as the browser reads them, DICOM files that are not compressed.

const LUMINANCE = [0.2126, 0.7152, 0.0722]; // of red, green, blue (ITU-R BT.709)
const LONG = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT"]; // whose length has four bytes
const SHORT = [0x280002, 0x280010, 0x280011, 0x280100, 0x280101, 0x280103, 0x280120, 0x280121]; // of two bytes, a number
const PLAIN = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]; // little endian, implicit and explicit

// -> {pixels (rows x columns), rows, columns, spacing: (x, y) mm or null}. Throws an Error whose text says what was expected.
export async function readFilm(file) {
  const content = await file.arrayBuffer();
  const isDicom = content.byteLength > 132 && new TextDecoder().decode(content.slice(128, 132)) === "DICM";
  const film = isDicom ? ofDicom(content) : await ofPicture(file);
  let [low, high] = [Infinity, -Infinity];
  for (const value of film.pixels) { if (value < low) low = value; if (value > high) high = value; }
  if (film.rows < 8 || film.columns < 8 || !(high > low)) throw new Error(`expected a radiograph, found ${film.columns} x ${film.rows} pixels of one grey`);
  return { ...film, low, high };
}

async function ofPicture(file) {
  const bitmap = await createImageBitmap(file).catch(() => { throw new Error("expected a PNG, JPEG, WebP or BMP picture or a DICOM file"); });
  const { width: columns, height: rows } = bitmap;
  const pen = new OffscreenCanvas(columns, rows).getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  const colours = pen.getImageData(0, 0, columns, rows).data;
  const pixels = Float32Array.from({ length: rows * columns }, (_, i) => {
    const [red, green, blue] = [colours[4 * i], colours[4 * i + 1], colours[4 * i + 2]];
    return red === green && green === blue ? red : LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue;
  });
  return { pixels, rows, columns, spacing: null };
}

function ofDicom(content) {
  const view = new DataView(content);
  const text = (at, length) => new TextDecoder().decode(new Uint8Array(content, at, length)).replace(/[\0 ]+$/, "");
  const found = {};
  let explicit = true;
  for (let at = 132; at + 8 <= content.byteLength;) {
    const group = view.getUint16(at, true);
    if (group !== 2) explicit = found[0x20010] !== PLAIN[0];
    if (group !== 2 && !PLAIN.includes(found[0x20010])) throw new Error(`expected DICOM without compression, found transfer syntax ${found[0x20010]}`);
    const tag = group * 0x10000 + view.getUint16(at + 2, true);
    const kind = group === 2 || explicit ? text(at + 4, 2) : "";
    const long = kind === "" || LONG.includes(kind);
    const start = at + (kind && long ? 12 : 8);
    const length = long ? view.getUint32(start - 4, true) : view.getUint16(at + 6, true);
    if (tag === 0x7fe00010) { found[tag] = start; break; }
    if (length === 0xffffffff) throw new Error("expected DICOM elements of known length, found a sequence without; save it anew as a picture");
    const short = ["US", "SS"].includes(kind) || SHORT.includes(tag);
    found[tag] = short ? view.getUint16(start, true) : length < 256 ? text(start, length) : "";
    at = start + length;
  }
  const [rows, columns, bits, start] = [found[0x280010], found[0x280011], found[0x280100], found[0x7fe00010]];
  const first = (tag, otherwise) => (found[tag] ? Number(found[tag].split("\\")[0]) : otherwise);
  if (!rows || !columns || start === undefined || found[0x280002] > 1 || first(0x280008, 1) > 1 || ![8, 16].includes(bits) || start + rows * columns * bits / 8 > content.byteLength)
    throw new Error("expected one grey DICOM picture of 8 or 16 bits, found another kind");
  if (found[0x283000] || found[0x283010]) throw new Error("expected DICOM without lookup tables; save it anew as a picture");
  if (found[0x80068] === "FOR PROCESSING") throw new Error("expected DICOM for presentation, found raw detector values; save it anew as a picture");
  const [slope, shift, signed] = [first(0x281053, 1), first(0x281052, 0), found[0x280103]];
  const used = 32 - found[0x280101];
  const limits = [found[0x280120], found[0x280121] ?? found[0x280120]].map((limit) => (signed ? (limit << 16) >> 16 : limit));
  const [least, most] = [Math.min(...limits), Math.max(...limits)]; // of padding, where there is any
  const isPadding = new Uint8Array(rows * columns);
  const inverted = found[0x280004] === "MONOCHROME1" || found[0x20500020] === "INVERSE";
  const show = windowed(found[0x281056], first(0x281050, NaN), first(0x281051, NaN));
  let darkest = Infinity;
  const pixels = Float32Array.from({ length: rows * columns }, (_, i) => {
    const bytes = bits === 8 ? view.getUint8(start + i) : view.getUint16(start + 2 * i, true);
    const stored = signed ? (bytes << used) >> used : (bytes << used) >>> used;
    const seen = inverted ? -show(slope * stored + shift) : show(slope * stored + shift);
    if (0x280120 in found && stored >= least && stored <= most) isPadding[i] = 1;
    else if (seen < darkest) darkest = seen;
    return seen;
  });
  if (darkest < Infinity) isPadding.forEach((is, i) => { if (is) pixels[i] = darkest; });
  return { pixels, rows, columns, spacing: spacing(found, first(0x181114, 0)) };
}

// How a value is shown (PS3.3 C.11.2), from 0 to 1; as it is without a window.
function windowed(kind, centre, width) {
  const within = (share) => Math.min(1, Math.max(0, share));
  if (kind === "SIGMOID" && width > 0) return (value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width));
  if (kind === "LINEAR_EXACT" && width > 0) return (value) => within((value - centre) / width + 0.5);
  return width > 1 ? (value) => within((value - centre + 0.5) / (width - 1) + 0.5) : (value) => value;
}

// (x, y) mm a pixel or null, the best that the header has, as radiographs/dicom.py takes it.
function spacing(found, magnification) {
  const [pixel, imager, scanned] = [0x280030, 0x181164, 0x182010].map((tag) => {
    const [y, x] = (found[tag] ?? "").split("\\").map(Number);
    return x > 0 && y > 0 && (x !== 1 || y !== 1) ? [x, y] : null; // programs that do not know write 1 x 1 mm
  });
  const isOther = [imager, scanned].every((other) => String(other) !== String(pixel));
  if (pixel && (found[0x280a02] || isOther)) return pixel;
  return imager && magnification > 0 ? imager.map((size) => size / magnification) : imager ?? scanned;
}
