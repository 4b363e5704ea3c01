//! The number of computed steps of a request that starts from an image.

/// How many of `steps` are computed at a strength: the last `floor(steps * strength)` of the grid, the rule of diffusers.
///
/// The strength counts as the decimal number that is written for it, so 0.7 of 30 steps are 21, although the nearest `f32` is
/// below 0.7. ComfyUI's rule is another: its `denoise` d computes all `steps`, on the last part of a grid of `steps / d`.
/// 0 for a strength that is not above 0, and `steps` for one of 1 or more.
pub fn computed_steps(steps: u32, strength: f32) -> u32 {
    /// Below this, no allowed number of steps gives a whole step. It also bounds the number of decimals.
    const LEAST: f32 = 1e-4;
    if strength >= 1.0 {
        return steps;
    }
    // Also for NaN.
    if !(LEAST..1.0).contains(&strength) {
        return 0;
    }
    // `Display` writes the shortest decimal number that is read as this `f32`: at most 9 digits after the leading zeros.
    let written = strength.to_string();
    let decimals = written.strip_prefix("0.").unwrap_or_default();
    let scale = 10_u128.pow(decimals.len() as u32);
    let numerator: u128 = decimals.parse().unwrap_or(0);
    (u128::from(steps) * numerator / scale) as u32
}

/// The least strength of two decimals, or four if need be, at which at least one of `steps` is computed.
pub fn least_strength(steps: u32) -> f32 {
    let of = |scale: u32| scale.div_ceil(steps.max(1)) as f32 / scale as f32;
    of(if steps <= 100 { 100 } else { 10_000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_decimal_numbers() {
        for (steps, strength, expected) in [
            (30, 0.7, 21),
            (20, 0.58, 11),
            (50, 0.58, 29),
            (100, 0.29, 29),
            (28, 0.6, 16),
            (10, 0.1, 1),
            (10, 0.099_999, 0),
            (200, 0.005, 1),
            (200, 0.004_999, 0),
            (20, 1.0, 20),
            (20, 0.999_999_94, 19),
            (20, 0.01, 0),
            (20, 0.0, 0),
            (20, -1.0, 0),
            (20, 7.0, 20),
            (20, f32::NAN, 0),
            (200, f32::MIN_POSITIVE, 0),
        ] {
            assert_eq!(computed_steps(steps, strength), expected, "{strength} of {steps}");
        }
    }

    #[test]
    fn every_hundredth_is_exact() {
        for steps in 1..=200_u32 {
            for hundredths in 1..=100_u32 {
                let strength: f32 = format!("{}.{:02}", hundredths / 100, hundredths % 100).parse().expect("a number");
                assert_eq!(computed_steps(steps, strength), steps * hundredths / 100, "{strength} of {steps}");
            }
        }
    }

    #[test]
    fn the_least_strength_computes_a_step() {
        for steps in 1..=200 {
            assert!(computed_steps(steps, least_strength(steps)) >= 1, "{steps}");
        }
    }
}
