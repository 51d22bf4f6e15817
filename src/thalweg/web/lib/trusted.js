// The one policy for Trusted Types: a worker's script may come from this page's own folder, and nothing else becomes
// code.

const HOME = new URL("../", import.meta.url).href;

function own(address) {
  if (!address.startsWith(HOME)) throw new TypeError(`not a script of this page: ${address}`);
  return address;
}

const policy = globalThis.trustedTypes?.createPolicy("thalweg", { createScriptURL: own });

/**
 * An address that a worker may be made of. Throws `TypeError` for one outside this page's folder.
 * @param {URL} url
 */
export function trustedScript(url) {
  return policy ? policy.createScriptURL(url.href) : own(url.href);
}
