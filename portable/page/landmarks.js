// Landmarks in radiographs by the ONNX graphs of a folder: landmarks.py line by line, with onnxruntime-web instead of onnxruntime.

const UPRIGHT = 15; // degrees, up to which a hand is called so
const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array, bool: Uint8Array };

const count = (tensor) => Number(tensor.data[0]);
const isTrue = (tensor) => Boolean(tensor.data[0]);

export class Model {
  static async load(ort, folder, progress = () => {}) {
    const model = new Model();
    model.ort = ort;
    model.about = await (await fetch(`${folder}/model.json`)).json();
    model.sessions = {};
    const graphs = Object.entries(model.about.graphs);
    const all = graphs.reduce((sum, [, graph]) => sum + graph.bytes, 0);
    let loaded = 0;
    for (const [name, graph] of graphs) {
      const content = await (await fetch(`${folder}/${graph.file}`)).arrayBuffer();
      model.sessions[name] = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], logSeverityLevel: 3 });
      progress((loaded += graph.bytes) / all);
    }
    return model;
  }

  // A value as the tensor that a graph expects: sides of 0 to n - 1 where they are not of one number.
  tensor(graph, name, value) {
    if (value instanceof this.ort.Tensor) return value;
    const [type, ...sides] = this.about.graphs[graph].inputs[name];
    const values = (value.length === undefined ? [value] : Array.from(value)).map(type === "int64" ? BigInt : Number);
    return new this.ort.Tensor(type, ARRAYS[type].from(values), sides.some(isNaN) ? [values.length] : sides);
  }

  async call(graph, inputs) {
    const { inputs: expected, outputs } = this.about.graphs[graph];
    const given = Object.fromEntries(Object.keys(expected).map((name) => [`in_${name}`, this.tensor(graph, name, inputs[name])]));
    const found = await this.sessions[graph].run(given);
    return Object.fromEntries(outputs.map((name) => [name, found[`out_${name}`]]));
  }

  // Grey values, row by row as a Float32Array -> the hands from left to right; one at least, whatever the picture shows.
  async landmarks(pixels, rows, columns) {
    const { about } = this;
    const picture = new this.ort.Tensor("float32", pixels, [rows, columns]);
    const opened = await this.call("opened", { picture });
    const candidates = await this.find(picture, opened);
    for (const one of candidates) Object.assign(one, await this.look(picture, one));
    await this.retry(picture, candidates);
    let pending = about.finder ? candidates : [];
    for (let run = 1; run <= about.runs; run++) { // after the last one only the evidence is taken
      const moved = [];
      for (const one of pending) {
        const found = await this.call("correct", { ...one, size: opened.size });
        one.evidence = found.evidence.data[0];
        if (!isTrue(found.moved) || run === about.runs) continue;
        moved.push(Object.assign(one, { hand: found.hand, view: found.view, is_whole: found.is_whole }));
      }
      for (const one of moved) Object.assign(one, await this.look(picture, one));
      pending = moved;
    }
    for (const one of candidates) {
      one.evidence ??= one.confidence.data.reduce((sum, value) => sum + Math.min(1, Math.max(0, value)), 0) / about.landmarks.length;
      if (this.sessions.second) Object.assign(one, await this.lookAgain(picture, one));
      one.is = await this.call("conclude", { ...one, size: opened.size });
    }
    return this.hands(candidates);
  }

  async find(picture, opened) {
    const { about } = this;
    const made = { negative: -1, darkened: false };
    if (!about.finder) return [{ ...made, hand: opened.hand, view: opened.whole, is_whole: true }];
    const others = new Float64Array(about.most * 6);
    const seen = await this.peaks(picture, opened.letterbox, opened.border);
    const hands = [];
    while (hands.length < about.most) {
      const placed = await this.call("place", { ...seen, others });
      if (!isTrue(placed.accepted)) break;
      seen.heights = placed.heights;
      others.set(placed.placement.data, 6 * hands.length);
      const again = await this.peaks(picture, placed.view, opened.border);
      hands.push((await this.call("settle", { ...again, placement: placed.placement })).hand);
    }
    if (!hands.length) hands.push(opened.hand);
    const alone = hands.length === 1;
    const aimed = (hand) => this.call("aim", { hand, alone, size: opened.size });
    return Promise.all(hands.map(async (hand) => ({ ...made, hand, alone, ...(await aimed(hand)) })));
  }

  async peaks(picture, view, border) {
    const frame = [this.about.finder_side, this.about.finder_side];
    const planned = await this.call("plan", { view, frame });
    return this.call("see", { view, square: await this.sample(picture, view, planned.halvings, planned.taps, frame, border) });
  }

  async sample(picture, view, halvings, taps, frame, border) {
    for (let left = count(halvings); left > 0; left--) ({ picture, view } = await this.call("halve", { picture, view }));
    const [rows, columns] = frame.map(upTo);
    return (await this.call(border ? "sample_filled" : "sample", { picture, view, rows, columns, taps: upTo(count(taps)), border })).picture;
  }

  async shown(picture, one, detail) {
    const planned = await this.call("plan", { view: one.view, frame: this.about.frame });
    const frame = detail ? Array.from(planned.detail_size.data, Number) : this.about.frame;
    if (one.is_whole === true || one.is_whole.data?.[0]) {
      const [rows, columns] = frame.map(upTo);
      return (await this.call("resize_to", { picture, rows, columns })).picture;
    }
    if (detail) return this.sample(picture, planned.detail_view, planned.detail_halvings, planned.detail_taps, frame);
    return this.sample(picture, one.view, planned.halvings, planned.taps, frame);
  }

  async look(picture, one) {
    return this.call("first", { ...one, framed: await this.shown(picture, one, false) });
  }

  async lookAgain(picture, one) {
    return this.call("second", { ...one, picture: await this.shown(picture, one, true) });
  }

  async retry(picture, candidates) {
    const pairs = [];
    const other = async (one, from, changes) => pairs.push([one, { ...from, ...changes, ...(await this.look(picture, { ...from, ...changes })) }]);
    for (const one of candidates)
      if (this.about.finder && one.mean.data[0] < this.about.unsure) await other(one, one, { negative: 1 - count(one.negative) });
    for (const [one, from] of [...candidates.map((one) => [one, one]), ...pairs])
      if (isTrue(from.bright)) await other(one, from, { darkened: true });
    for (const [one, changed] of pairs) if (changed.mean.data[0] > one.mean.data[0]) Object.assign(one, changed);
  }

  hands(candidates) {
    const { least_evidence, same } = this.about;
    const kept = [];
    for (const one of candidates.sort((a, b) => b.evidence - a.evidence)) {
      const [x, y] = one.is.centre.data;
      const twice = kept.some((other) => Math.hypot(x - other.is.centre.data[0], y - other.is.centre.data[1])
        < same * Math.max(one.is.unit.data[0], other.is.unit.data[0]));
      if (!kept.length || (one.evidence >= least_evidence && !twice)) kept.push(one);
    }
    return kept.sort((a, b) => a.is.centre.data[0] - b.is.centre.data[0]).map((one) => this.described(one));
  }

  described(one) {
    const { flags: names, outlined, least_evidence, sides, landmarks } = this.about;
    const found = one.is;
    const mirrored = one.hand.data[4] > 0.5;
    const turned = found.degrees.data[0];
    const given = landmarks.map((_, i) => names.of_landmarks.filter((_, j) => found.landmark_flags.data[4 * i + j]));
    let flags = names.of_landmarks.filter((name) => names.of_radiographs[name] && given.some((some) => some.includes(name)))
      .map((name) => names.of_radiographs[name]);
    if (isTrue(found.alien)) flags = [names.alien];
    if (one.evidence < least_evidence) flags = [names.absent];
    if (!isTrue(one.outlined) && outlined) flags.push(names.no_outline);
    const lies = [Math.abs(turned) > UPRIGHT && `turned by ${turned} degrees`, mirrored && "mirrored", count(one.negative) > 0 && "inverted"];
    return {
      points: pairsOf(found.points.data, 2), confidence: Array.from(one.confidence.data), ellipses: pairsOf(found.ellipses.data, 3),
      landmark_flags: given.map((some) => some.join("; ")), flags, orientation: lies.filter(Boolean).join(", ") || "upright",
      side: sides[Number(mirrored)], evidence: one.evidence,
    };
  }
}

const upTo = (length) => Float64Array.from({ length }, (_, i) => i);
const pairsOf = (values, width) => Array.from({ length: values.length / width }, (_, i) => Array.from(values.slice(width * i, width * (i + 1))));
