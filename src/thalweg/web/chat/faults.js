// What went wrong, in plain words, and what to do about it. The gateway's own message stands below, as it came.

import { t } from "../lib/words.js";

/** By the way in which it failed. */
const BY_KIND = {
  unreachable: ["fault_unreachable", "fault_unreachable_do"],
  unauthorised: ["fault_key", "fault_key_do"],
  broke: ["fault_broke", "fault_broke_do"],
  reload: ["fault_reload", "fault_again_do"],
  page: ["fault_page", "fault_page_do"],
};

/** By the code in the error. */
const BY_CODE = {
  cancelled: ["fault_cancelled", "fault_again_do"],
  context_length_exceeded: ["fault_long", "fault_long_do"],
  insufficient_quota: ["fault_money", "fault_money_do"],
  model_not_found: ["fault_model", "fault_model_do"],
  overloaded: ["fault_busy", "fault_busy_do"],
  rate_limit_exceeded: ["fault_rate", "fault_busy_do"],
  request_too_large: ["fault_large", "fault_large_do"],
  timeout: ["fault_timeout", "fault_again_do"],
  unsupported_parameter: ["fault_parameter", "fault_parameter_do"],
  upstream_broke_off: ["fault_upstream_broke", "fault_again_do"],
  upstream_unreachable: ["fault_upstream_away", "fault_upstream_away_do"],
};

/** By the status, where the code says nothing. */
const BY_STATUS = {
  400: ["fault_request", "fault_parameter_do"],
  402: BY_CODE.insufficient_quota,
  403: ["fault_forbidden", "fault_forbidden_do"],
  404: BY_CODE.model_not_found,
  413: BY_CODE.request_too_large,
  429: BY_CODE.rate_limit_exceeded,
  502: ["fault_upstream", "fault_upstream_do"],
  503: BY_CODE.overloaded,
  504: BY_CODE.timeout,
};

/**
 * A fault for people: `{title, advice}`.
 * @param {{kind: string, code?: string | null, status?: number | null, retryAfter?: number | null}} fault
 */
export function explain(fault) {
  const keys = BY_KIND[fault.kind] ??
    BY_CODE[fault.code] ??
    BY_STATUS[fault.status] ?? ["fault_upstream", "fault_again_do"];
  const advice = fault.retryAfter ? t("fault_wait", { count: Math.ceil(fault.retryAfter) }) : t(keys[1]);
  return { title: t(keys[0]), advice };
}
