// The empty conversation: what can be tried at once, and how one's own models come in.

import { button, el, icon, stamp } from "../lib/dom.js";
import { t } from "../lib/words.js";

/** Things to try that need no key. */
const SUGGESTIONS = [
  { icon: "wave", title: "try_text", text: "try_text_what", prompt: "try_text_prompt", model: "sim/text" },
  {
    icon: "think",
    title: "try_thought",
    text: "try_thought_what",
    prompt: "try_thought_prompt",
    model: "sim/reasoning",
  },
  {
    icon: "tool",
    title: "try_tools",
    text: "try_tools_what",
    prompt: "try_tools_prompt",
    model: "sim/tools",
    tools: true,
  },
  {
    icon: "bolt",
    title: "try_fault",
    text: "try_fault_what",
    prompt: "try_fault_prompt",
    model: "sim/error-midstream",
  },
];

/**
 * The page's first words.
 * @param {import("./models.js").Provider[]} providers
 * @param {(suggestion: {prompt: string, model: string, tools?: boolean}) => void} take
 */
export function welcome(providers, take) {
  const { root, suggestions, bring, bringInside } = stamp("welcome-template");
  suggestions.append(
    ...SUGGESTIONS.map((each) => {
      const made = button({
        icon: each.icon,
        class: "suggestion",
        click: () => take({ ...each, prompt: t(each.prompt) }),
      });
      made.append(
        el("span", { class: "suggestion-title", text: t(each.title) }),
        el("span", { class: "suggestion-text", text: t(each.text) }),
      );
      return made;
    }),
  );
  bringInside.append(...bringModels(providers));
  bring.open = false;
  return root;
}

function bringModels(providers) {
  const rows = providers.filter((provider) => provider.variables.length > 0 || provider.local);
  const example = rows.find((provider) => provider.variables.length > 0)?.variables[0] ?? "OPENAI_API_KEY";
  return [
    el("p", { text: t("bring_text") }),
    el("pre", { tabindex: "0", dir: "ltr" }, el("code", { text: `export ${example}=…\nthalweg serve` })),
    rows.length ? el("ul", { class: "providers" }, ...rows.map(providerRow)) : el("p", { text: t("bring_else") }),
  ];
}

function providerRow(provider) {
  return el(
    "li",
    { class: provider.ready ? "provider ready" : "provider" },
    el("span", { text: provider.title }),
    provider.ready
      ? el("span", { role: "img", "aria-label": t("provider_ready") }, icon("check"))
      : el("code", { text: provider.local ? t("provider_local") : provider.variables[0] }),
  );
}
