// Elements out of names and text. Text is always text: there is no way here to make markup of a string.

import { t } from "./words.js";

/**
 * An element. `props`: `class`, `text`, `on` (event listeners), `data`; everything else is an attribute, left out where
 * it is `null` or `false`.
 */
export function el(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) setProp(made, key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const SPECIAL = {
  class: (made, value) => (made.className = value),
  text: (made, value) => (made.textContent = value),
  on: (made, value) => Object.entries(value).forEach(([type, listener]) => made.addEventListener(type, listener)),
  data: (made, value) => Object.assign(made.dataset, value),
};

function setProp(made, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (SPECIAL[key]) SPECIAL[key](made, value);
  else made.setAttribute(key, value === true ? "" : value);
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the drawings at the top of the page. It says nothing to a screen reader: its button has the name. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.append(use);
  return drawing;
}

/**
 * A button. With `label` it is an icon whose name is said and shown on hover, else it has text.
 * @param {{icon?: string, label?: string, text?: string, class?: string, click?: (event: Event) => void}} what
 */
export function button({ icon: drawing, label, text, class: name = "quiet", click, ...more }) {
  return el(
    "button",
    {
      type: "button",
      class: name,
      "aria-label": text ? null : label,
      title: label ?? null,
      on: click ? { click } : {},
      ...more,
    },
    drawing ? icon(drawing) : null,
    text ? el("span", { text }) : null,
  );
}

/** A copy of a template in the language of the page, and its parts by their `data-part`. */
export function stamp(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  localise(root);
  return { root, ...parts(root) };
}

/** The elements below `root`, itself included, that have a `data-part`, by that name. */
export function parts(root) {
  const found = {};
  if (root.dataset?.part) found[root.dataset.part] = root;
  for (const each of root.querySelectorAll("[data-part]")) found[each.dataset.part] = each;
  return found;
}

const LOCALISED = {
  textContent: (each, words) => (each.textContent = words),
  "aria-label": (each, words) => each.setAttribute("aria-label", words),
  title: (each, words) => each.setAttribute("title", words),
  placeholder: (each, words) => each.setAttribute("placeholder", words),
};
const MARKS = {
  t: ["textContent"],
  tLabel: ["aria-label", "title"],
  tName: ["aria-label"],
  tPlaceholder: ["placeholder"],
};

/** Put the words of the page's language wherever an element asks for them: `data-t`, `data-t-label`, … */
export function localise(root) {
  const asking = [...root.querySelectorAll("[data-t], [data-t-label], [data-t-name], [data-t-placeholder]")];
  if (root instanceof Element) asking.push(root);
  for (const each of asking) {
    for (const [mark, targets] of Object.entries(MARKS)) {
      const key = each.dataset?.[mark];
      if (key) targets.forEach((target) => LOCALISED[target](each, t(key)));
    }
  }
}
