//! A control image on the command line.

use std::path::PathBuf;

use clap::ValueEnum as _;
use sakuga_client::proto::generation::v1::{self as wire, Control};

use crate::cli::choice::Choice;

/// A control image, before its file is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ControlArgument {
    /// The file, or `asset:SHA256`.
    pub file: PathBuf,
    /// Everything but the image.
    pub control: Control,
}

/// Preprocessors of other programs that need weights of their own.
const WITH_WEIGHTS: [&str; 11] = [
    "depth",
    "depth_midas",
    "depth_anything",
    "dwpose",
    "hed",
    "lineart",
    "lineart_anime",
    "mlsd",
    "normal",
    "openpose",
    "pose",
];

/// Parses `NETWORK=FILE[,scale=F][,start=F][,end=F][,resize=HOW][,preprocess=canny[:LOW:HIGH]]`.
pub(crate) fn parse(text: &str) -> Result<ControlArgument, String> {
    let Some((network, rest)) = text.split_once('=').filter(|(network, _)| !network.trim().is_empty()) else {
        return Err(format!("write NETWORK=FILE, such as `canny=edges.png`, not `{text}`"));
    };
    let mut control = Control { network: network.trim().to_owned(), ..Control::default() };
    let mut file = rest;
    // Settings stand at the end: a file's name may have commas.
    while let Some((before, setting)) = file.rsplit_once(',') {
        let Some((key, value)) = setting.split_once('=') else { break };
        set(&mut control, key.trim(), value.trim())?;
        file = before;
    }
    if file.is_empty() {
        return Err(format!("name the image after `{network}=`"));
    }
    Ok(ControlArgument { file: file.into(), control })
}

fn set(control: &mut Control, key: &str, value: &str) -> Result<(), String> {
    let number = || -> Result<Option<f32>, String> {
        let number = value.parse::<f32>().ok().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| format!("{key}: `{value}` is not a number"))
    };
    match key {
        "scale" => control.scale = number()?,
        "start" => control.start = number()?,
        "end" => control.end = number()?,
        "resize" => {
            let resize = Choice::<wire::ResizeMode>::from_str(value, false);
            let resize = resize.map_err(|_| format!("resize: write crop, pad or stretch, not `{value}`"))?;
            control.resize = resize.value.into();
        }
        "preprocess" => preprocess(control, value)?,
        _ => return Err(format!("there is no setting `{key}`; there are scale, start, end, resize and preprocess")),
    }
    Ok(())
}

fn preprocess(control: &mut Control, value: &str) -> Result<(), String> {
    let (name, thresholds) = value.split_once(':').map_or((value, None), |(name, rest)| (name, Some(rest)));
    match name.to_lowercase().as_str() {
        "none" => return Ok(()),
        "canny" => control.preprocessor = wire::Preprocessor::Canny.into(),
        other if WITH_WEIGHTS.contains(&other) => {
            return Err(format!(
                "preprocess: `{name}` needs weights of its own, which this program does not bring; give its result as the image"
            ));
        }
        _ => return Err(format!("preprocess: write canny, canny:LOW:HIGH or none, not `{value}`")),
    }
    if let Some(thresholds) = thresholds {
        let read = thresholds.split_once(':').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let Some((low, high)) = read else {
            return Err(format!("preprocess: write two whole numbers, as in canny:100:200, not `{value}`"));
        };
        (control.canny_low, control.canny_high) = (Some(low), Some(high));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_a_network_an_image_and_settings() {
        let plain = parse("depth=room, old.png").unwrap();
        assert_eq!((plain.control.network.as_str(), plain.file), ("depth", "room, old.png".into()));
        let full = parse("canny=a.png,scale=0.8,start=0.1,end=0.6,resize=crop,preprocess=canny:50:150").unwrap();
        let expected = Control {
            network: "canny".into(),
            preprocessor: wire::Preprocessor::Canny.into(),
            scale: Some(0.8),
            start: Some(0.1),
            end: Some(0.6),
            resize: wire::ResizeMode::Crop.into(),
            canny_low: Some(50),
            canny_high: Some(150),
            ..Control::default()
        };
        assert_eq!(full, ControlArgument { file: "a.png".into(), control: expected });
    }

    #[test]
    fn what_is_wrong_says_what_to_write() {
        for (text, part) in [
            ("a.png", "NETWORK=FILE"),
            ("=a.png", "NETWORK=FILE"),
            ("canny=", "name the image"),
            ("canny=a.png,scale=much", "not a number"),
            ("canny=a.png,weight=1", "there are scale"),
            ("canny=a.png,resize=fit", "crop, pad or stretch"),
            ("pose=a.png,preprocess=openpose", "needs weights of its own"),
            ("canny=a.png,preprocess=canny:1", "canny:100:200"),
        ] {
            assert!(parse(text).unwrap_err().contains(part), "{text}: {:?}", parse(text));
        }
    }
}
