//! [`Second`]: a second pass of other programs, and the one of a request.

use sakuga_proto::generation::v1::{SecondPass, Upscaler};

/// The factors of a request's second pass.
const FACTOR_MAX: f64 = 4.0;

/// A second pass in the terms of other programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Second {
    /// The size after it, as a multiple of the size before it.
    pub(super) factor: f64,
    /// The share of noise that is added before it, 0 to 1.
    pub(super) strength: Option<f64>,
    /// Steps that it computes. `None`: as many as the first pass.
    pub(super) steps: Option<u32>,
    /// The name of the upscaler, in any spelling.
    pub(super) upscaler: String,
}

/// A setting that a request's second pass does not have: name, value, reason.
pub(super) type Note = (&'static str, String, &'static str);

impl Second {
    /// The second pass of a request whose first pass has `first_steps` steps, with at most `steps_max` steps of its own, and notes
    /// about settings that cannot be imported.
    pub(super) fn into_request(self, first_steps: Option<u32>, steps_max: u32) -> (Option<SecondPass>, Vec<Note>) {
        let within = self.factor.clamp(1.0, FACTOR_MAX);
        if within.is_nan() || within <= 1.0 {
            return (None, vec![("second pass", self.factor.to_string(), "it does not enlarge the picture")]);
        }
        let mut notes = Vec::new();
        if within < self.factor {
            notes.push(("second pass", self.factor.to_string(), "moved into the range from 1 to 4"));
        }
        let mut second = SecondPass { factor: Some(within as f32), ..SecondPass::default() };
        let (upscaler, is_exact) = upscaler(&self.upscaler);
        second.set_upscaler(upscaler);
        if !is_exact {
            notes.push(("upscaler", self.upscaler, "the nearest upscaler of a request is used"));
        }
        let strength = self.strength.filter(|strength| *strength > 0.0).map(|strength| strength.min(1.0));
        second.strength = strength.map(|strength| strength as f32);
        // The other programs count the steps that are computed, and a request those of the whole schedule.
        if let (Some(steps), Some(strength)) = (self.steps.or(first_steps), strength) {
            let whole = (f64::from(steps) / strength).ceil();
            let most = f64::from(steps_max);
            if whole > most {
                let reason = "200 steps of the whole schedule are the most";
                notes.push(("steps of the second pass", steps.to_string(), reason));
            }
            second.steps = whole.min(most) as u32;
        }
        (Some(second), notes)
    }
}

/// The upscaler of this name or the nearest one, and whether it is exact.
fn upscaler(name: &str) -> (Upscaler, bool) {
    let name = name.to_lowercase();
    match name.trim() {
        "lanczos" => (Upscaler::Lanczos, true),
        "latent" | "latent (bilinear)" => (Upscaler::LatentBilinear, true),
        name if name.starts_with("latent") => (Upscaler::LatentBilinear, false),
        "" => (Upscaler::Unspecified, true),
        _ => (Upscaler::Lanczos, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_computed_become_those_of_the_schedule() {
        let second = Second { factor: 1.5, strength: Some(0.4), steps: Some(10), upscaler: "Latent".into() };
        let (found, notes) = second.clone().into_request(Some(30), 200);
        let found = found.expect("it enlarges");
        assert_eq!((found.factor, found.strength, found.steps), (Some(1.5), Some(0.4), 25));
        assert_eq!((found.upscaler(), notes.len()), (Upscaler::LatentBilinear, 0));
        let as_first = Second { steps: None, ..second.clone() }.into_request(Some(30), 200).0.expect("as well");
        assert_eq!(as_first.steps, 75);
        for (second, name) in [
            (Second { factor: 9.0, ..second.clone() }, "second pass"),
            (Second { factor: f64::NAN, ..second.clone() }, "second pass"),
            (Second { factor: 1.0, ..second.clone() }, "second pass"),
            (Second { steps: Some(150), ..second.clone() }, "steps of the second pass"),
            (Second { upscaler: "4x-UltraSharp".into(), ..second.clone() }, "upscaler"),
            (Second { upscaler: "Latent (nearest)".into(), ..second }, "upscaler"),
        ] {
            let (carried, notes) = second.clone().into_request(None, 200);
            assert_eq!((notes.len(), notes[0].0), (1, name), "{second:?}");
            assert_eq!(carried.is_some(), second.factor > 1.0, "{second:?}");
        }
    }
}
