"use strict";
// What the rows open to. It is JSON, deflated, in base64, inside the page's template. Whatever an
// LLM wrote becomes text nodes, never HTML.

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const template = document.getElementById("details");
const payload = template ? unpacked(template.content.textContent) : null; // a promise
let data = null; // what it gives, once it is there

// Numbers of the lines of a text, which is stored as runs: start, length, start, length, ...
function numbersOf(runs) {
  const numbers = [];
  for (let at = 0; at < runs.length; at += 2) {
    for (let step = 0; step < runs[at + 1]; step += 1) numbers.push(runs[at] + step);
  }
  return numbers;
}

function textOf(runs) {
  return numbersOf(runs).map((number) => data.lines[number]).join("\n");
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// One line of a network with the colours of its syntax.
function coloured(number) {
  const [line, mask] = [data.lines[number], data.masks[number]];
  const parts = document.createDocumentFragment();
  for (let from = 0, to = 0; from < line.length; from = to) {
    const kind = mask[from] || " ";
    while (to < line.length && (mask[to] || " ") === kind) to += 1;
    const text = line.slice(from, to);
    parts.append(kind === " " ? text : make("span", { class: `t-${kind}` }, text));
  }
  return parts;
}
