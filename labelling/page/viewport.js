// Where a radiograph lies on the stage. Pixel i of it covers [i - 0.5, i + 0.5], so its left edge is at -0.5.

export class Viewport {
  constructor() { Object.assign(this, { zoom: 1, left: 0, top: 0, mirrored: false, width: 1, height: 1, stageWidth: 1, stageHeight: 1 }); }

  // the radiograph's edges on the stage are left, top; zoom is CSS px per px of the radiograph
  toStage(x, y) {
    const across = this.mirrored ? this.width - 1 - x : x;
    return [(across + 0.5) * this.zoom + this.left, (y + 0.5) * this.zoom + this.top];
  }

  toImage(u, v) {
    const across = (u - this.left) / this.zoom - 0.5;
    return [this.mirrored ? this.width - 1 - across : across, (v - this.top) / this.zoom - 0.5];
  }

  // `fitted`: the whole radiograph is seen, and stays so when the stage changes its size
  fit() {
    this.fitted = true;
    this.zoom = Math.min(this.stageWidth / this.width, this.stageHeight / this.height) * 0.98;
    this.left = (this.stageWidth - this.width * this.zoom) / 2;
    this.top = (this.stageHeight - this.height * this.zoom) / 2;
  }

  // the point under (u, v) stays there
  zoomAt(u, v, factor) {
    this.fitted = false;
    const fit = Math.min(this.stageWidth / this.width, this.stageHeight / this.height);
    const zoom = Math.min(Math.max(this.zoom * factor, fit * 0.5), 40);
    this.left = u - (u - this.left) * (zoom / this.zoom);
    this.top = v - (v - this.top) * (zoom / this.zoom);
    this.zoom = zoom;
  }

  pan(du, dv) {
    this.fitted = false;
    this.left += du;
    this.top += dv;
  }

  // so that a point of the radiograph is seen
  show(x, y) {
    const [u, v] = this.toStage(x, y), edge = 40;
    if (u < edge || v < edge || u > this.stageWidth - edge || v > this.stageHeight - edge) this.pan(this.stageWidth / 2 - u, this.stageHeight / 2 - v);
  }

  mirror() { // what is in the middle of the stage stays there
    const [x, y] = this.toImage(this.stageWidth / 2, this.stageHeight / 2);
    this.mirrored = !this.mirrored;
    const [u] = this.toStage(x, y);
    this.left += this.stageWidth / 2 - u;
  }
}
