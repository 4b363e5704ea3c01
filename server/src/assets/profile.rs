//! Converts pixels with an ICC profile to sRGB.

use moxcms::{DataColorSpace, Layout, ProfileText, TransformOptions};

/// Characters of a profile's name that are kept.
const NAME_CHARS_MAX: usize = 64;
/// Values of each channel that are compared to find out whether a profile is that of sRGB.
const PROBES: [u8; 9] = [0, 31, 63, 95, 127, 159, 191, 223, 255];

/// What a file says about its colours, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ColorProfile {
    /// It has no ICC profile: its values count as sRGB.
    #[default]
    None,
    /// Its profile is that of sRGB: nothing was converted.
    Srgb,
    /// Its profile, of this name, was converted to sRGB.
    Converted(String),
    /// It has a profile that was ignored, for this reason: its values count as sRGB.
    Ignored(&'static str),
}

/// Pixels of three or, with `has_alpha`, four channels, as sRGB. `is_grey`: the file has a single channel for its colour.
pub(super) fn to_srgb(
    pixels: Vec<u8>,
    profile: Option<&[u8]>,
    is_grey: bool,
    has_alpha: bool,
) -> (Vec<u8>, ColorProfile) {
    let Some(profile) = profile.filter(|profile| !profile.is_empty()) else { return (pixels, ColorProfile::None) };
    match convert(&pixels, profile, is_grey, has_alpha) {
        Ok(None) => (pixels, ColorProfile::Srgb),
        Ok(Some((converted, name))) => (converted, ColorProfile::Converted(name)),
        Err(why) => (pixels, ColorProfile::Ignored(why)),
    }
}

/// The converted pixels and the name of the profile; `None` for the profile of sRGB.
fn convert(
    pixels: &[u8],
    profile: &[u8],
    is_grey: bool,
    has_alpha: bool,
) -> Result<Option<(Vec<u8>, String)>, &'static str> {
    let profile = moxcms::ColorProfile::new_from_slice(profile).map_err(|_| "it cannot be read")?;
    let (from, to, channels) = match (profile.color_space, is_grey, has_alpha) {
        (DataColorSpace::Rgb, _, false) => (Layout::Rgb, Layout::Rgb, 3),
        (DataColorSpace::Rgb, _, true) => (Layout::Rgba, Layout::Rgba, 4),
        (DataColorSpace::Gray, true, false) => (Layout::Gray, Layout::Rgb, 1),
        (DataColorSpace::Gray, true, true) => (Layout::GrayAlpha, Layout::Rgba, 2),
        (DataColorSpace::Gray, false, _) => return Err("it is one for grey pictures, and this one has colours"),
        (DataColorSpace::Cmyk, ..) => return Err("it is one for CMYK, which is converted to RGB without it"),
        _ => return Err("it is neither one for RGB nor one for grey"),
    };
    let unusable = "it cannot be converted to sRGB";
    let target = moxcms::ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(from, &target, to, TransformOptions::default());
    let transform = transform.map_err(|_| unusable)?;
    let apply = |source: &[u8]| {
        let pixels = source.len() / channels;
        let mut converted = vec![0; pixels * if has_alpha { 4 } else { 3 }];
        transform.transform(source, &mut converted).map_err(|_| unusable).map(|()| converted)
    };
    if channels >= 3 {
        let probes: Vec<u8> = PROBES
            .iter()
            .flat_map(|red| PROBES.iter().flat_map(move |green| PROBES.iter().map(move |blue| [*red, *green, *blue])))
            .flat_map(|[red, green, blue]| [red, green, blue, 255].into_iter().take(channels))
            .collect();
        if apply(&probes)?.iter().zip(&probes).all(|(converted, probe)| converted.abs_diff(*probe) <= 1) {
            return Ok(None);
        }
        return Ok(Some((apply(pixels)?, name(&profile))));
    }
    let stride = if has_alpha { 4 } else { 3 };
    let grey: Vec<u8> = pixels
        .chunks_exact(stride)
        .flat_map(|pixel| [pixel[0], pixel[stride - 1]].into_iter().take(channels))
        .collect();
    Ok(Some((apply(&grey)?, name(&profile))))
}

/// The name that a profile gives itself, safe to show.
fn name(profile: &moxcms::ColorProfile) -> String {
    let name = match &profile.description {
        Some(ProfileText::PlainString(text)) => text.as_str(),
        Some(ProfileText::Localizable(texts)) => texts.first().map_or("", |text| text.value.as_str()),
        Some(ProfileText::Description(text)) if text.ascii_string.is_empty() => text.unicode_string.as_str(),
        Some(ProfileText::Description(text)) => text.ascii_string.as_str(),
        None => "",
    };
    let name: String = sakuga_proto::text::one_line(name.trim_end_matches('\0')).chars().take(NAME_CHARS_MAX).collect();
    if name.trim().is_empty() { "without a name".into() } else { name }
}
