"use strict";

// What the page's parts share. Text that a model or a data set wrote becomes text nodes and nothing else: elements are
// made by `h`, `svg` and `mathml` alone, and nothing here parses HTML.

/** An element. Functions become event handlers ("onclick"), null and false attributes are left out. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** The same for MathML. */
function mathml(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/1998/Math/MathML", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The value in a block of compressed JSON (harness/report/page/blocks.py), by the id of its element. */
async function readBlock(id) {
  const element = document.getElementById(id);
  if (!element) return null;
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** Shows a part of the page that is hidden until it works, in place of the note that says what it needs. */
function reveal(root) {
  document.querySelector(`[data-until=${root.id}]`).remove();
  root.hidden = false;
}

/** Resolves when all of the page has been read. */
const pageRead = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));

/** A number for people, with a true minus sign. */
function shown(value, digits) {
  return value.toFixed(digits).replace("-", "−");
}
