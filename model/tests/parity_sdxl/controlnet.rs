//! The control network: residuals, their scales, the U-Net with them, and the steps in which it acts.

use sakuga_model::networks::unet2d::{Tapped, acts};

use crate::harness::{Part, for_each_set};
use crate::load::{self, conditioning, names, times};

#[test]
fn the_control_network_matches_its_reference() {
    for_each_set("controlnet", check);
}

fn check(part: &mut Part) {
    let tolerance = part.tolerance("down_mid_unet_out");
    let unet = load::unet(&part.set.join("model/unet"));
    let control = load::control(&part.set.join("controlnet/model"));
    for case in part.cases() {
        let (name, owner) = names(&case);
        let sample = part.tensors.tensor::<4>(&format!("{owner}.sample"));
        let image = part.tensors.tensor::<4>(&format!("{owner}.image"));
        let times = times(part, &owner);
        let conditioning = conditioning(part, &owner);
        let mut embedding = None;
        let mut tap = |tensor: &str, value: Tapped| {
            if let ("cond_embedding", Tapped::Images(value)) = (tensor, value) {
                embedding = Some(value);
            }
        };
        let mut residuals = control.forward(sample.clone(), &times, &conditioning, image, &mut tap);
        if case["guess_mode"].as_bool() == Some(true) {
            residuals = residuals.scaled_by_depth();
        }
        let residuals = residuals.scaled(case["scale"].as_f64().expect("a case has a scale"));
        part.compare("model", &name, "cond_embedding", embedding.expect("it was shown"), None, tolerance);
        for (i, residual) in residuals.skips.iter().enumerate() {
            part.compare("model", &name, &format!("down.{i}"), residual.clone(), None, tolerance);
        }
        part.compare("model", &name, "mid", residuals.mid.clone(), None, tolerance);
        let out = unet.forward(sample, &times, &conditioning, Some(&residuals), &mut |_, _| ());
        part.compare("model", &name, "unet_out", out, None, tolerance);
    }
    for schedule in part.description["keep_schedules"].as_array().cloned().unwrap_or_default() {
        let number = |key: &str| schedule[key].as_f64().unwrap_or_else(|| panic!("a schedule has {key}"));
        let steps = number("steps") as usize;
        let kept: Vec<bool> = (0..steps).map(|i| acts(i, steps, number("start"), number("end"))).collect();
        let expected: Vec<bool> =
            schedule["keep"].as_array().expect("a list").iter().map(|flag| flag.as_f64() == Some(1.0)).collect();
        if kept != expected {
            part.fail(format!("{schedule} acts in the steps {kept:?}"));
        }
    }
}
