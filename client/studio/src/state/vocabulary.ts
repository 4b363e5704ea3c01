/** The list of tags that a person has given to this browser. */
import { createSignal } from "solid-js";

import { type KnownTag, readVocabulary } from "../prompt/vocabulary";

const DATABASE = "sakuga-studio";
const STORE = "vocabulary";
const KEY = "tags";

interface Kept {
  readonly name: string;
  readonly csv: string;
}

const [vocabulary, setVocabulary] = createSignal<{ readonly name: string; readonly tags: readonly KnownTag[] }>();

export { vocabulary };

/** Uses a list, and keeps it in this browser. Returns how many tags it has. */
export async function setTags(name: string, csv: string): Promise<number> {
  const tags = readVocabulary(csv);
  if (tags.length > 0) {
    setVocabulary({ name, tags });
    await inStore("readwrite", (store) => store.put({ name, csv } satisfies Kept, KEY));
  }
  return tags.length;
}

/** Forgets the list. */
export async function forgetTags(): Promise<void> {
  setVocabulary(undefined);
  await inStore("readwrite", (store) => store.delete(KEY));
}

/** Reads the list that this browser keeps. Called once. */
export async function restoreTags(): Promise<void> {
  const kept = (await inStore("readonly", (store) => store.get(KEY))) as Kept | undefined;
  if (kept) {
    setVocabulary({ name: kept.name, tags: readVocabulary(kept.csv) });
  }
}

/** One request to the database of this page; `undefined` where the browser has none. */
function inStore(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
  return new Promise((resolve) => {
    const fail = (): void => {
      resolve(undefined);
    };
    try {
      const opening = indexedDB.open(DATABASE, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
      opening.onerror = fail;
      opening.onsuccess = () => {
        const database = opening.result;
        const request = ask(database.transaction(STORE, mode).objectStore(STORE));
        request.onerror = fail;
        request.onsuccess = () => {
          resolve(request.result);
          database.close();
        };
      };
    } catch {
      fail();
    }
  });
}
