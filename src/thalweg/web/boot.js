// Runs before anything is painted: the theme and the language that were chosen, so that nothing flashes.
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
  const wanted = kept.language || (navigator.languages || [navigator.language || "en"])[0];
  root.lang = String(wanted).toLowerCase().startsWith("zh") ? "zh-CN" : "en";
  if (kept.sidebar === "closed") root.dataset.sidebar = "closed";
})();
