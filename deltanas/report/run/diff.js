// A delta, unified and side by side, from the two networks and the lines in which they differ.

const CONTEXT = 3; // lines around a change

// Blocks in order: {same: [[old, new], ...]}, {gap: lines left out} or {removed: [], added: []}.
function blocksOf(detail, whole) {
  const end = numbersOf(data.sources[detail.parent]).length;
  const range = (from, to) => Array.from({ length: to - from }, (_, step) => from + step);
  const blocks = [];
  let [old, shift] = [0, 0];
  for (const [from, to, newFrom, newTo] of [...detail.edits, [end, end, -1, -1]]) {
    const same = range(old, from).map((line) => [line, line + shift]);
    const head = old === 0 ? 0 : CONTEXT;
    const tail = from === end ? 0 : CONTEXT;
    if (whole || same.length <= head + tail) {
      blocks.push({ same });
    } else {
      blocks.push({ same: same.slice(0, head) });
      blocks.push({ gap: same.length - head - tail });
      blocks.push({ same: same.slice(same.length - tail) });
    }
    if (newFrom >= 0) blocks.push({ removed: range(from, to), added: range(newFrom, newTo) });
    [old, shift] = [to, newTo - to];
  }
  return blocks;
}

function cell(kind, number, line) {
  if (line === null) return [make("td", { class: "at" }), make("td", { class: "nothing" })];
  return [
    make("td", { class: "at" }, String(line + 1)),
    make("td", { class: kind }, make("code", {}, coloured(number))),
  ];
}

function gap(lines, columns) {
  const many = `${lines} line${lines === 1 ? "" : "s"} left out`;
  return make("tr", { class: "gap" }, make("td", { colspan: columns }, many));
}

function unifiedRow(kind, before, after, number) {
  const sign = { removed: "−", added: "+", same: "" }[kind];
  const place = (line) => make("td", { class: "at" }, line === null ? "" : String(line + 1));
  const code = make("td", { class: kind }, make("code", {}, coloured(number)));
  return make("tr", {}, place(before), place(after), make("td", { class: "sign" }, sign), code);
}

function unified(detail, whole) {
  const [before, after] = [numbersOf(data.sources[detail.parent]), numbersOf(detail.code)];
  const body = make("tbody");
  for (const block of blocksOf(detail, whole)) {
    if (block.gap) body.append(gap(block.gap, 4));
    for (const [one, two] of block.same || []) {
      body.append(unifiedRow("same", one, two, before[one]));
    }
    for (const one of block.removed || []) {
      body.append(unifiedRow("removed", one, null, before[one]));
    }
    for (const two of block.added || []) body.append(unifiedRow("added", null, two, after[two]));
  }
  return make("table", { class: "code unified" }, body);
}

function sideBySide(detail, whole) {
  const [before, after] = [numbersOf(data.sources[detail.parent]), numbersOf(detail.code)];
  const body = make("tbody");
  for (const block of blocksOf(detail, whole)) {
    if (block.gap) body.append(gap(block.gap, 4));
    for (const [one, two] of block.same || []) {
      body.append(make("tr", {}, ...cell("same", before[one], one), ...cell("same", after[two], two)));
    }
    const [removed, added] = [block.removed || [], block.added || []];
    for (let at = 0; at < Math.max(removed.length, added.length); at += 1) {
      const [one, two] = [removed[at] ?? null, added[at] ?? null];
      const left = cell("removed", before[one], one);
      body.append(make("tr", {}, ...left, ...cell("added", after[two], two)));
    }
  }
  const widths = ["at", "half", "at", "half"].map((kind) => make("col", { class: kind }));
  return make("table", { class: "code sides" }, make("colgroup", {}, ...widths), body);
}

function network(detail) {
  const rows = numbersOf(detail.code).map((number, line) =>
    make("tr", {}, ...cell("same", number, line)),
  );
  return make("table", { class: "code" }, make("tbody", {}, ...rows));
}

// A delta that fits no network: as it was written.
function written(detail) {
  const kinds = { "+": "added", "-": "removed" };
  const lines = textOf(detail.delta).split("\n").map((line) =>
    make("span", { class: kinds[line[0]] || "same" }, `${line}\n`),
  );
  return make("pre", { class: "plain" }, ...lines);
}
