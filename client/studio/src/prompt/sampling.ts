/** The solvers and noise schedules that requests choose from. */
import { NoiseSchedule, Solver } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";

/** The solvers, with the names of the API and those that artists know. */
export const SOLVERS = [
  { solver: Solver.EULER, name: "euler", title: "Euler" },
  { solver: Solver.MIDPOINT, name: "midpoint", title: "Midpoint" },
  { solver: Solver.RK4, name: "rk4", title: "RK4" },
  { solver: Solver.DPM, name: "dpm", title: "DPM-Solver++" },
  { solver: Solver.EULER_ANCESTRAL, name: "euler_ancestral", title: "Euler ancestral" },
  { solver: Solver.DDIM, name: "ddim", title: "DDIM" },
  { solver: Solver.UNIPC, name: "unipc", title: "UniPC" },
] as const;

/** The noise schedules. The page has their titles. */
export const SCHEDULES = [
  { schedule: NoiseSchedule.NATIVE, name: "native" },
  { schedule: NoiseSchedule.KARRAS, name: "karras" },
  { schedule: NoiseSchedule.EXPONENTIAL, name: "exponential" },
] as const;

/** What a model can do, by the names of the API. */
interface Abilities {
  readonly solvers: readonly string[];
  readonly schedules: readonly string[];
}

/** The solvers of a model. */
export function solversOf(model: Abilities | undefined): (typeof SOLVERS)[number][] {
  return SOLVERS.filter(({ name }) => model?.solvers.includes(name));
}

/** The schedules of a model for a solver. DDIM supports the model's own noise levels only. */
export function schedulesOf(model: Abilities | undefined, solver: Solver): (typeof SCHEDULES)[number][] {
  return SCHEDULES.filter(
    ({ name }) => model?.schedules.includes(name) && (solver !== Solver.DDIM || name === "native"),
  );
}

/** The solver if the model has it, else `UNSPECIFIED`. */
export function usableSolver(model: Abilities | undefined, solver: Solver): Solver {
  return solversOf(model).some((one) => one.solver === solver) ? solver : Solver.UNSPECIFIED;
}

/** The schedule if the model has it for this solver, else `UNSPECIFIED`. */
export function usableSchedule(
  model: Abilities | undefined,
  solver: Solver,
  schedule: NoiseSchedule,
): NoiseSchedule {
  const isUsable = schedulesOf(model, solver).some((one) => one.schedule === schedule);
  return isUsable ? schedule : NoiseSchedule.UNSPECIFIED;
}
