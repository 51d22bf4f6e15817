// The page's words in its language. All text that a person reads stands in words/*.json, by key.

/** The languages there are: what `lang` says, and the file. */
export const LANGUAGES = { en: "en", zh: "zh-CN" };

let words = {};
let plural = new Intl.PluralRules("en");
let locale = "en";

/** The browser's own language, if we have it. */
export function browserLanguage(wanted = navigator.languages) {
  for (const each of wanted) {
    const name = each.toLowerCase().split("-")[0];
    if (name in LANGUAGES) return name;
  }
  return "en";
}

/** Fetch a language's words and use them from now on. Throws where they cannot be had. */
export async function useLanguage(language) {
  const begun = globalThis.thalwegWords;
  globalThis.thalwegWords = null;
  const asked =
    begun?.language === language ? begun.answer : fetch(new URL(`../words/${language}.json`, import.meta.url));
  const answer = await asked;
  if (!answer.ok) throw new Error(`words/${language}.json: ${answer.status}`);
  useWords(await answer.json(), LANGUAGES[language]);
  document.documentElement.lang = LANGUAGES[language];
}

/** Use these words. */
export function useWords(given, tag) {
  words = given;
  locale = tag;
  plural = new Intl.PluralRules(tag);
}

/** The tag of the language in use, for `Intl`. */
export function currentLocale() {
  return locale;
}

/**
 * The words of a key, with `{name}` replaced. With a number `count` among the values, the form for that number:
 * `key_one` or `key_other`.
 */
export function t(key, values = {}) {
  const counted =
    typeof values.count === "number"
      ? (words[`${key}_${plural.select(values.count)}`] ?? words[`${key}_other`])
      : undefined;
  const found = counted ?? words[key] ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
