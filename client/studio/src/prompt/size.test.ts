import { expect, it } from "vitest";

import { RATIOS, seedOf, sizeOf } from "./size";

it("keeps the area, the ratio and the multiple", () => {
  for (const side of [256, 1024]) {
    for (const ratio of Object.values(RATIOS)) {
      const { width, height } = sizeOf(ratio, side, 16);
      expect(width % 16 || height % 16).toBe(0);
      expect(width * height).toBeLessThanOrEqual(side * side);
      expect(width * height).toBeGreaterThan(side * side * 0.85);
      expect(Math.abs(Math.log(width / height / ratio))).toBeLessThan(0.13);
    }
  }
});

it("takes seeds of 64 bits and nothing else", () => {
  expect(seedOf(" 7 ")).toBe(7n);
  expect(seedOf("18446744073709551615")).toBe(18446744073709551615n);
  expect(seedOf("")).toBeUndefined();
  for (const wrong of ["18446744073709551616", "-1", "1.5", "0x10", "seven"]) {
    expect(seedOf(wrong)).toBeNull();
  }
});
