import { expect, it } from "vitest";

import { ByteOffsets } from "./offsets";

it("counts bytes of every width", () => {
  const text = "aéす😀b";
  const offsets = new ByteOffsets(text);
  expect([0, 1, 3, 6, 10, 11, 99].map((offset) => offsets.toUtf16(offset))).toEqual([0, 1, 2, 3, 5, 6, 6]);
  expect(new ByteOffsets("plain").toUtf16(3)).toBe(3);
});
