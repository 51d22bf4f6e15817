// Runs before anything is painted: the theme, the language and its words, so that nothing flashes.
// A classic script, because modules wait for the document.
(() => {
  const root = document.documentElement;
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem("thalweg.settings") || "{}") || {};
  } catch {
    // Storage is closed to this page, or what is there is not ours: the defaults hold.
  }
  if (kept.theme === "light" || kept.theme === "dark") root.dataset.theme = kept.theme;
  const wanted = [kept.language, ...navigator.languages].map((each) => String(each).toLowerCase().split("-")[0]);
  const language = wanted.find((each) => each === "en" || each === "zh") || "en";
  root.lang = language === "zh" ? "zh-CN" : "en";
  // The words are on their way while the modules are: lib/words.js takes them from here.
  globalThis.thalwegWords = { language, answer: fetch(new URL(`words/${language}.json`, document.currentScript.src)) };
  globalThis.thalwegWords.answer.catch(() => {});
  if (kept.sidebar === "closed") root.dataset.sidebar = "closed";
})();
