// What a row of the table opens to.

function detailOf(name) {
  const detail = data.attempts[name];
  const head = make("div", { class: "told" });
  head.append(
    make("p", {}, make("strong", {}, detail.verdict), ` ${detail.advice}`),
    ...(detail.reason ? [make("p", { class: "reason" }, detail.reason)] : []),
    make("p", { class: "soft" }, `${name}`, ...detail.path.flatMap((id) => [" ← ", named(id)])),
  );
  const facts = make("dl", { class: "measured" });
  for (const [what, value] of detail.facts) {
    facts.append(make("div", {}, make("dt", {}, what), make("dd", {}, value)));
  }
  return make("div", { class: "detail" }, head, facts, seeds(detail), views(name, detail));
}

function named(id) {
  return data.attempts[id] ? make("a", { href: `#${id}` }, id) : id;
}

function seeds(detail) {
  if (!detail.seeds.length) return "";
  const heads = ["fresh seed", "validation", "its parent", "test"].map((title) =>
    make("th", { scope: "col" }, title),
  );
  const rows = detail.seeds.map((cells) =>
    make("tr", {}, ...cells.map((text) => make("td", {}, text))),
  );
  return make("table", { class: "seeds" }, make("tr", {}, ...heads), ...rows);
}

// Title, what it shows, the text to copy, and the name of the file to download.
function viewsOf(name, detail) {
  const plain = (runs) => () => make("pre", { class: "plain" }, textOf(runs));
  const delta = { text: () => textOf(detail.delta), file: `${name}.diff` };
  const found = [];
  if (detail.edits) {
    found.push({ title: "unified", show: (whole) => unified(detail, whole), diff: true, ...delta });
    found.push({ title: "side by side", show: (whole) => sideBySide(detail, whole), diff: true, ...delta });
  } else if (detail.delta) {
    found.push({ title: "delta as written", show: () => written(detail), ...delta });
  }
  if (detail.code) {
    const text = () => textOf(detail.code);
    found.push({ title: "network", show: () => network(detail), text, file: `${name}.py` });
  }
  if (detail.training) found.push({ title: "training", show: () => training(detail.training) });
  for (const part of ["prompt", "reply"]) {
    const runs = detail[part];
    if (runs) {
      const file = `${name}-${part}.txt`;
      found.push({ title: part, show: plain(runs), text: () => textOf(runs), file });
    }
  }
  return found;
}

function views(name, detail) {
  const found = viewsOf(name, detail);
  if (!found.length) return make("p", { class: "soft" }, "No text was recorded.");
  const tabs = make("div", { class: "tabs", role: "tablist", "aria-label": `Texts of ${name}` });
  const whole = make("input", { type: "checkbox" });
  const context = make("label", { class: "whole" }, whole, " whole file");
  const [copy, save] = [button("copy"), button("download")];
  const told = make("span", { class: "soft", role: "status" });
  const panel = make("div", { class: "scroll panel", role: "tabpanel", tabindex: "0" });
  let shown = found[0];
  const show = (view) => {
    shown = view;
    for (const tab of tabs.children) {
      tab.setAttribute("aria-selected", String(tab.textContent === view.title));
    }
    context.hidden = !view.diff;
    copy.hidden = save.hidden = !view.text;
    told.textContent = "";
    panel.setAttribute("aria-label", view.title);
    panel.replaceChildren(view.show(whole.checked));
  };
  for (const view of found) {
    const tab = make("button", { type: "button", role: "tab" }, view.title);
    tab.addEventListener("click", () => show(view));
    tabs.append(tab);
  }
  whole.addEventListener("change", () => show(shown));
  copy.addEventListener("click", () => copied(shown.text(), told));
  save.addEventListener("click", () => saved(shown.text(), shown.file));
  show(shown);
  const bar = make("div", { class: "bar-of-views" }, tabs, context, copy, save, told);
  return make("div", {}, bar, panel);
}

function button(title) {
  return make("button", { type: "button" }, title);
}

async function copied(text, told) {
  try {
    await navigator.clipboard.writeText(text);
    told.textContent = "copied";
  } catch {
    told.textContent = "The browser does not let this page copy: select the text instead.";
  }
}

function saved(text, file) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  make("a", { href: address, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// Validation accuracy after every epoch, once more where another seed was tried.
function training({ curve, again, told }) {
  const parts = [make("p", {}, `${told}; epochs: ${curve.length}.`)];
  const every = [...curve, ...again];
  if (curve.length > 1) {
    const [low, high] = [Math.min(...every), Math.max(...every)];
    const x = (step) => 44 + (step * 262) / (curve.length - 1);
    const y = (value) => 120 - (110 * (value - low)) / (high - low || 1);
    const line = (values, kind) =>
      drawn("polyline", { class: kind, points: values.map((v, i) => `${x(i)},${y(v)}`).join(" ") });
    const label = (value, at) => {
      const text = drawn("text", { x: 38, y: at, "text-anchor": "end" });
      text.textContent = `${(100 * value).toFixed(1)} %`;
      return text;
    };
    const what = `Validation accuracy over ${curve.length} epochs`;
    const svg = document.getElementById("curve").content.firstElementChild.cloneNode();
    svg.setAttribute("aria-label", what);
    const drawn = (tag, attributes) => {
      const element = document.createElementNS(svg.namespaceURI, tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    };
    svg.append(label(high, 14), label(low, 124), line(again, "again"), line(curve, "first"));
    parts.push(svg, make("p", { class: "soft" }, `${what}${again.length ? "; dashed: another seed" : ""}.`));
  }
  return make("div", { class: "training" }, ...parts);
}
