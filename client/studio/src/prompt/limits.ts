/**
 * The ranges of the fields of a request that forms repeat, by the names of `sakuga.generation.v1.GenerateRequest`. A test of
 * `sakuga-server` (`src/limits.rs`) compares each line with the table of the server.
 */
export const LIMITS = {
  "adapters": { min: 0, max: 8 },
  "adapters.scale": { min: -10, max: 10 },
  "controls": { min: 0, max: 4 },
  "controls.scale": { min: 0, max: 2 },
  "controls.start": { min: 0, max: 1 },
  "controls.end": { min: 0, max: 1 },
  "images": { min: 1, max: 16 },
  "init.strength": { min: 0, max: 1 },
  "inline": { min: 1, max: 2097152 },
  "mask.feather": { min: 0, max: 256 },
  "refiner.switch_at": { min: 0, max: 1 },
  "refiner.aesthetic_score": { min: 0, max: 10 },
  "refiner.negative_aesthetic_score": { min: 0, max: 10 },
  "sampling.guidance_from": { min: 0, max: 1 },
  "sampling.guidance_renorm": { min: 0, max: 100 },
  "sampling.guidance_rescale": { min: 0, max: 1 },
  "sampling.guidance_scale": { min: 1, max: 30 },
  "sampling.guidance_until": { min: 0, max: 1 },
  "sampling.shift": { min: 0.1, max: 20 },
  "sampling.steps": { min: 1, max: 200 },
  "second_pass.factor": { min: 1, max: 4 },
  "second_pass.strength": { min: 0, max: 1 },
} as const;

/** The smallest strength of forms: a strength of 0 computes no step. */
export const STRENGTH_MIN = 0.05;
