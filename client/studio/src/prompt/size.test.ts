import { expect, it } from "vitest";

import { nearest, ratioOf, seedOf, sizeOf, sizesOf } from "./size";

it("keeps the area, the ratio and the multiple", () => {
  for (const side of [256, 1024]) {
    for (const { name } of sizesOf([], side, 16)) {
      const ratio = ratioOf(name) ?? 0;
      const { width, height } = sizeOf(ratio, side, 16);
      expect(width % 16 || height % 16).toBe(0);
      expect(width * height).toBeLessThanOrEqual(side * side);
      expect(width * height).toBeGreaterThan(side * side * 0.85);
      expect(Math.abs(Math.log(width / height / ratio))).toBeLessThan(0.13);
    }
  }
});

it("offers the sizes of the training, the square first, and the nearest for another ratio", () => {
  const trained = [
    { width: 192, height: 320 },
    { width: 512, height: 512 },
    { width: 256, height: 256 },
    { width: 256, height: 384 },
    { width: 384, height: 256 },
  ];
  const sizes = sizesOf(trained, 256, 16);
  expect(sizes.map(({ name }) => name)).toEqual(["1:1", "2:3", "3:2", "3:5"]);
  expect(sizes[0]?.width).toBe(256);
  expect(nearest(sizes, "3:4")).toEqual({ name: "2:3", width: 256, height: 384 });
  expect(nearest(sizes, "2:3")).toEqual({ name: "2:3", width: 256, height: 384 });
  expect(nearest(sizes, "nonsense")?.name).toBe("1:1");
  expect(sizesOf(trained, 1024, 100).map(({ name }) => name)).toContain("16:9");
});

it("takes seeds of 64 bits and nothing else", () => {
  expect(seedOf(" 7 ")).toBe(7n);
  expect(seedOf("18446744073709551615")).toBe(18446744073709551615n);
  expect(seedOf("")).toBeUndefined();
  for (const wrong of ["18446744073709551616", "-1", "1.5", "0x10", "seven"]) {
    expect(seedOf(wrong)).toBeNull();
  }
});
