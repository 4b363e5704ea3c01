import { expect, it } from "vitest";

import { pictureType } from "./picture";

it("knows pictures by their first bytes", () => {
  const text = (word: string) => new TextEncoder().encode(word);
  expect(pictureType(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d]))).toBe("image/png");
  expect(pictureType(new Uint8Array([0xff, 0xd8, 0xff, 0xe0]))).toBe("image/jpeg");
  expect(pictureType(text("RIFF....WEBPVP8 "))).toBe("image/webp");
  expect(pictureType(text("RIFF....WAVE"))).toBeUndefined();
  expect(pictureType(text("<svg>"))).toBeUndefined();
});
