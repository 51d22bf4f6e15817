// Pictures and text files that go along with a message. Pictures become data URLs, text goes into the message: nothing
// is uploaded anywhere, and nothing is fetched by the gateway.

import { bytes } from "../lib/format.js";
import { newId } from "../lib/ids.js";
import { t } from "../lib/words.js";

export const MOST_IMAGE_BYTES = 6_000_000;
export const MOST_TEXT_BYTES = 400_000;
export const MOST_TOTAL_BYTES = 13_000_000;
/** A request may have 20 MiB, and a picture grows by a third when it is written as text. */

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

/**
 * Read files. Returns those that can go along and, for each that cannot, a sentence that says why.
 * @param {Iterable<File>} files
 * @param {number} already bytes that go along already
 */
export async function readFiles(files, already) {
  const images = [];
  const texts = [];
  const refused = [];
  let total = already;
  for (const file of files) {
    const read = await readFile(file, total);
    if (read.refused) refused.push(read.refused);
    else {
      total += file.size;
      (read.image ? images : texts).push(read.image ?? read.text);
    }
  }
  return { images, files: texts, refused };
}

async function readFile(file, total) {
  const name = file.name || t("image");
  const picture = PICTURES.has(file.type);
  const most = picture ? MOST_IMAGE_BYTES : MOST_TEXT_BYTES;
  if (file.type.startsWith("image/") && !picture && file.type !== "image/svg+xml")
    return { refused: t("refused_picture", { name }) };
  if (file.size > most) return { refused: t("refused_size", { name, size: bytes(file.size), most: bytes(most) }) };
  if (total + file.size > MOST_TOTAL_BYTES)
    return { refused: t("refused_total", { name, most: bytes(MOST_TOTAL_BYTES) }) };
  if (picture) return { image: { id: newId(), name, size: file.size, url: await dataUrl(file) } };
  const text = textIn(await file.arrayBuffer());
  return text === null
    ? { refused: t("refused_kind", { name }) }
    : { text: { id: newId(), name, size: file.size, text } };
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** The text if the bytes are text at all: UTF-8 without NUL. */
function textIn(buffer) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(buffer);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}
