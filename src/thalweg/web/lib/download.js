// A text as a file for the person at the page.

/** Offer it for saving. */
export function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** A file's name out of a title. */
export function fileName(title, ending) {
  const bare = title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/gu, "");
  return `${bare.slice(0, 60) || "thalweg"}.${ending}`;
}
