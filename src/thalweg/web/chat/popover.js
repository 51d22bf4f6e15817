// Things that open beside a button and close by themselves: menus, the details of an answer, the picker of models.

import { button, el } from "../lib/dom.js";

const EDGE_PX = 8;

let open = null;
/** The button of what was open when it was pressed: the press closes it before the button's own click comes. */
let pressed = null;

document.addEventListener(
  "pointerdown",
  ({ target }) => (pressed = open?.anchor.contains(target) ? open.anchor : null),
  true,
);

/** Close whatever is open. */
export function closePopover() {
  if (open?.element.matches(":popover-open")) open.element.hidePopover();
}

/**
 * Open `content` beside `anchor`. Asked again of the same button it closes. Returns the element, or `null` where it was
 * closed.
 * @param {HTMLElement} anchor
 * @param {HTMLElement} content
 * @param {{role?: string, label: string, closed?: () => void}} options
 */
export function openPopover(anchor, content, { role = "dialog", label, closed }) {
  const again = pressed === anchor || open?.anchor === anchor;
  pressed = null;
  closePopover();
  if (again) return null;
  const element = el("div", { class: "popover", popover: "auto", role, "aria-label": label }, content);
  // Within a landmark, as everything else: beside its button, whose place it shares.
  (anchor.closest("nav, main") ?? document.body).append(element);
  open = { anchor, element };
  element.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
  anchor.setAttribute("aria-expanded", "true");
  element.addEventListener("beforetoggle", (event) => {
    if (event.newState === "closed" && open?.element === element) open = null;
  });
  element.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    anchor.setAttribute("aria-expanded", "false");
    const inside = element.contains(document.activeElement) || document.activeElement === document.body;
    element.remove();
    if (inside) anchor.focus();
    closed?.();
  });
  // The button is its source: Tab goes from there into it.
  element.showPopover({ source: anchor });
  putBeside(element, anchor);
  element.querySelector("button, input")?.focus();
  return element;
}

/** Below the anchor where there is room, else above; within the window. */
function putBeside(element, anchor) {
  const at = anchor.getBoundingClientRect();
  const size = element.getBoundingClientRect();
  const below = at.bottom + 4;
  const fits = below + size.height <= innerHeight - EDGE_PX;
  const top = fits ? below : Math.max(EDGE_PX, at.top - 4 - size.height);
  const wanted = at.left + size.width > innerWidth - EDGE_PX ? at.right - size.width : at.left;
  const left = Math.min(Math.max(EDGE_PX, wanted), innerWidth - EDGE_PX - size.width);
  element.style.top = `${top}px`;
  element.style.left = `${Math.max(EDGE_PX, left)}px`;
}

/**
 * A menu beside a button.
 * @param {{icon: string, text: string, bad?: boolean, click: () => void}[]} items
 */
export function openMenu(anchor, label, items) {
  const list = el("div", { class: "menu" });
  for (const item of items) {
    const entry = button({
      icon: item.icon,
      text: item.text,
      class: item.bad ? "menu-item bad" : "menu-item",
      role: "menuitem",
      click: () => {
        closePopover();
        item.click();
      },
    });
    list.append(entry);
  }
  if (!openPopover(anchor, list, { role: "menu", label })) return;
  list.firstElementChild.focus();
  list.addEventListener("keydown", (event) => moveInMenu(list, event));
}

const MOVES = {
  ArrowDown: (at, count) => (at + 1) % count,
  ArrowUp: (at, count) => (at - 1 + count) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

function moveInMenu(list, event) {
  const move = MOVES[event.key];
  if (!move) return;
  event.preventDefault();
  const items = [...list.children];
  items[move(items.indexOf(document.activeElement), items.length)].focus();
}
