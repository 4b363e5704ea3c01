import { expect, it } from "vitest";

import { NoiseSchedule, Solver } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { schedulesOf, solversOf, usableSchedule, usableSolver } from "./sampling";

const model = { solvers: ["euler", "ddim"], schedules: ["native", "karras"] };

it("offers what a model has", () => {
  expect(solversOf(model).map(({ title }) => title)).toEqual(["Euler", "DDIM"]);
  expect(schedulesOf(model, Solver.EULER).map(({ name }) => name)).toEqual(["native", "karras"]);
  expect(schedulesOf(model, Solver.DDIM).map(({ name }) => name)).toEqual(["native"]);
  expect(solversOf(undefined)).toEqual([]);
});

it("replaces what a model does not have by the default", () => {
  expect(usableSolver(model, Solver.DDIM)).toBe(Solver.DDIM);
  expect(usableSolver(model, Solver.RK4)).toBe(Solver.UNSPECIFIED);
  expect(usableSchedule(model, Solver.EULER, NoiseSchedule.KARRAS)).toBe(NoiseSchedule.KARRAS);
  expect(usableSchedule(model, Solver.DDIM, NoiseSchedule.KARRAS)).toBe(NoiseSchedule.UNSPECIFIED);
});
