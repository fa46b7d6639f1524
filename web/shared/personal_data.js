// A copy of everything that is stored about a person, read in parts and saved as a file.
import { h } from "./dom.js";

const MAX_PARTS = 100; // per click; the API lets six follow each other at once
const REVOKE_AFTER_MS = 60_000;

/** A copy of which nothing has been read yet. `files` are the parts that are too large for an answer. */
export const newCopy = () => ({ data: undefined, files: [], cursor: undefined, complete: false });

/** Read the missing parts of a copy with `load(cursor)`. If it throws, the copy keeps what was read. */
export async function readCopy(copy, load) {
  for (let number = 0; number < MAX_PARTS && !copy.complete; number += 1) {
    const part = await load(copy.cursor);
    if (part.url) copy.files.push(part);
    else if (copy.data) {
      copy.data.person ??= part.person;
      copy.data.payments.push(...part.payments);
      copy.data.expired_payments.push(...part.expired_payments);
      copy.data.records.push(...part.records);
    } else copy.data = { ...part, next_cursor: null };
    copy.cursor = part.next_cursor;
    copy.complete = !part.next_cursor;
  }
}

/** Save data as a JSON file. */
export function saveData(data, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(data, null, 1)], { type: "application/json" }));
  h("a", { href: url, download: `${name}-${data.exported_at.slice(0, 10)}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), REVOKE_AFTER_MS);
}
