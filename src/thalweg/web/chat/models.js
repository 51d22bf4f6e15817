// Which models can be asked: those that the gateway lists, by their provider, and the providers that lack a key.

/**
 * A provider: `ready` says that its models can be called now, `variables` what would make it so, `local` that it is an
 * engine which needs no key, `models` some of its models' names.
 * @typedef {object} Provider
 * @property {string} name
 * @property {string} title
 * @property {boolean} ready
 * @property {string[]} variables
 * @property {boolean} local
 * @property {string[]} models
 * @typedef {{provider: string, title: string, models: string[]}} Group
 */

const SIMULATOR = "sim";

/** The models of the list by their provider, the simulator last. */
export function groupModels(models, providers) {
  const titles = new Map(providers.map((provider) => [provider.name, provider.title]));
  const groups = new Map();
  for (const { id, owned_by: owner } of models) {
    const provider = id.includes("/") ? id.slice(0, id.indexOf("/")) : owner || "";
    if (!groups.has(provider)) groups.set(provider, { provider, title: titles.get(provider) ?? "", models: [] });
    groups.get(provider).models.push(id);
  }
  return [...groups.values()].sort(
    (one, other) => Number(one.provider === SIMULATOR) - Number(other.provider === SIMULATOR),
  );
}

/** Providers out of the gateway's answer; empty where there is none. */
export function readProviders(answer) {
  const rows = Array.isArray(answer?.providers) ? answer.providers : [];
  return rows
    .filter((row) => typeof row?.name === "string")
    .map((row) => ({
      name: row.name,
      title: row.title || row.name,
      ready: Boolean(row.ready),
      variables: Array.isArray(row.key_variables) ? row.key_variables : [],
      local: row.needs_key === false,
      models: Array.isArray(row.models) ? row.models : [],
    }));
}

/** Which of the groups' models have all the words in their name or their provider's. */
export function searchModels(groups, text) {
  const words = text.toLowerCase().split(/\s+/u).filter(Boolean);
  return groups
    .map((group) => ({
      ...group,
      models: group.models.filter((model) =>
        words.every((word) => `${model} ${group.title}`.toLowerCase().includes(word)),
      ),
    }))
    .filter((group) => group.models.length > 0);
}

/** Which providers lack a key that would let them answer to these words. */
export function withoutKey(providers, text) {
  const words = text.toLowerCase().split(/\s+/u).filter(Boolean);
  return providers.filter(({ ready, variables, title, name, models }) => {
    const all = [title, name, ...models].join(" ").toLowerCase();
    return !ready && variables.length > 0 && words.every((word) => all.includes(word));
  });
}

/** The model to begin with: the one used last, else the first of a real provider, else the simulator's. */
export function firstModel(groups, last) {
  if (last) return last;
  return groups[0]?.models[0] ?? "sim/text";
}
