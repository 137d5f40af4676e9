// A radiograph at full depth, and its levels of half the size each; a window turns stored values into grey.

export class Raster {
  constructor(about, buffer) {
    this.about = about;
    this.width = about.width;
    this.height = about.height;
    const data = about.bits === 16 ? new Uint16Array(buffer) : new Uint8Array(buffer);
    this.levels = [{ data, width: this.width, height: this.height }];
    this.size = about.bits === 16 ? 65536 : 256;
    this.table = new Uint32Array(this.size);
    this.drawn = []; // a canvas a level, and which window it shows
    this.serial = 0;
    this.serialOfAll = Raster.made = (Raster.made ?? 0) + 1;
    this.key = "";
  }

  // stored values that are black and white; inverted: the other way round
  setWindow(dark, bright, inverted) {
    const key = `${dark} ${bright} ${inverted}`;
    if (key === this.key) return;
    this.key = key;
    this.serial++;
    const span = bright - dark || 1;
    for (let v = 0; v < this.size; v++) {
      let grey = Math.round(Math.min(1, Math.max(0, (v - dark) / span)) * 255);
      if (inverted) grey = 255 - grey;
      this.table[v] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
  }

  // level n has pixels of 2^n; at an odd edge the last one is repeated
  level(n) {
    while (this.levels.length <= n) {
      const from = this.levels.at(-1);
      const width = Math.ceil(from.width / 2), height = Math.ceil(from.height / 2);
      const data = new from.data.constructor(width * height);
      for (let y = 0; y < height; y++) {
        const a = 2 * y * from.width, b = Math.min(2 * y + 1, from.height - 1) * from.width;
        const whole = from.width >> 1;
        let to = y * width;
        for (let x = 0; x < whole; x++) {
          const i = 2 * x;
          data[to++] = (from.data[a + i] + from.data[a + i + 1] + from.data[b + i] + from.data[b + i + 1] + 2) >> 2;
        }
        if (whole < width) data[to] = (from.data[a + from.width - 1] + from.data[b + from.width - 1] + 1) >> 1;
      }
      this.levels.push({ data, width, height });
    }
    return this.levels[n];
  }

  // the level that has at least one pixel for each of the screen's
  levelFor(zoom) {
    let n = 0;
    while (zoom * 2 ** (n + 1) <= 1 && Math.min(this.width, this.height) >> (n + 1) > 8) n++;
    return n;
  }

  // a level as a canvas, windowed
  canvas(n) {
    const { data, width, height } = this.level(n);
    let one = this.drawn[n];
    if (!one) {
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext("2d", { alpha: false });
      const image = context.createImageData(width, height);
      one = this.drawn[n] = { canvas, context, image, words: new Uint32Array(image.data.buffer), serial: 0 };
    }
    if (one.serial !== this.serial) {
      const { words } = one, { table } = this;
      for (let i = 0; i < data.length; i++) words[i] = table[data[i]];
      one.context.putImageData(one.image, 0, 0);
      one.serial = this.serial;
    }
    return one.canvas;
  }

  // stored value at the nearest pixel; undefined outside
  at(x, y) {
    const i = Math.round(x), j = Math.round(y);
    return i < 0 || j < 0 || i >= this.width || j >= this.height ? undefined : this.levels[0].data[j * this.width + i];
  }

  // the surroundings of a point, interpolated: fills an ImageData, `step` px of the radiograph per px of it
  around(x, y, step, mirrored, image) {
    const words = new Uint32Array(image.data.buffer), side = image.width, half = side / 2;
    const { data } = this.levels[0], { width, height } = this;
    for (let row = 0; row < side; row++) {
      const v = y + (row + 0.5 - half) * step;
      for (let column = 0; column < side; column++) {
        const u = x + (column + 0.5 - half) * step * (mirrored ? -1 : 1);
        if (u < -0.5 || v < -0.5 || u > width - 0.5 || v > height - 0.5) { words[row * side + column] = 0xff100d0b; continue; }
        const x0 = Math.min(Math.max(Math.floor(u), 0), width - 1), y0 = Math.min(Math.max(Math.floor(v), 0), height - 1);
        const x1 = Math.min(x0 + 1, width - 1), y1 = Math.min(y0 + 1, height - 1);
        const p = Math.min(Math.max(u - x0, 0), 1), q = Math.min(Math.max(v - y0, 0), 1);
        const top = data[y0 * width + x0] * (1 - p) + data[y0 * width + x1] * p;
        const bottom = data[y1 * width + x0] * (1 - p) + data[y1 * width + x1] * p;
        words[row * side + column] = this.table[(top * (1 - q) + bottom * q + 0.5) | 0];
      }
    }
  }
}
