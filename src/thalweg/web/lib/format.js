// Numbers and times as a person reads them, in the page's language.

import { currentLocale, t } from "./words.js";

/** Seconds, with one digit below a minute: `3.2 s`, `2 min 5 s`. */
export function seconds(milliseconds) {
  const whole = milliseconds / 1000;
  if (whole < 1) return t("unit_s", { n: fixed(whole, 2) });
  if (whole < 60) return t("unit_s", { n: fixed(whole, 1) });
  return t("unit_min", { m: Math.floor(whole / 60), s: Math.floor(whole % 60) });
}

/** A number with so many digits behind the point. */
export function fixed(value, digits = 0) {
  return new Intl.NumberFormat(currentLocale(), {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** An integer with the language's separators. */
export function whole(value) {
  return new Intl.NumberFormat(currentLocale()).format(value);
}

/** A size: `340 kB`, `2.1 MB`. */
export function bytes(count) {
  if (count < 1000) return t("unit_b", { n: whole(count) });
  if (count < 999_500) return t("unit_kb", { n: fixed(count / 1000) });
  return t("unit_mb", { n: fixed(count / 1_000_000, 1) });
}

/** Date and time, short. */
export function moment(time) {
  return new Intl.DateTimeFormat(currentLocale(), { dateStyle: "medium", timeStyle: "short" }).format(time);
}

const DAY = 86_400_000;

/** Which heading of the side bar a time belongs to: `today`, `yesterday`, `week`, `earlier`. */
export function age(time, now = Date.now()) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (time >= midnight) return "today";
  if (time >= midnight - DAY) return "yesterday";
  return time >= midnight - 6 * DAY ? "week" : "earlier";
}
