//! Decoding of usual and of hostile pictures.

use std::borrow::Cow;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::assets::decode::{PictureError, PictureFacts, PictureFormat};
use crate::assets::profile::ColorProfile;
use crate::assets::*;

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

fn decode(file: &[u8]) -> Result<DecodedPicture, PictureError> {
    decode_picture(file, &PictureLimits::default())
}

/// A PNG file of 8 bits a channel.
fn png_of(color: png::ColorType, size: (u32, u32), pixels: &[u8], change: impl FnOnce(&mut png::Info<'_>)) -> Vec<u8> {
    let mut info = png::Info::with_size(size.0, size.1);
    info.color_type = color;
    info.bit_depth = png::BitDepth::Eight;
    change(&mut info);
    let mut file = Vec::new();
    let mut writer = png::Encoder::with_info(&mut file, info).expect("valid").write_header().expect("memory");
    writer.write_image_data(pixels).expect("memory");
    writer.finish().expect("memory");
    file
}

/// A JPEG whose left half is red and whose right half is blue, with this EXIF orientation.
fn jpeg(orientation: Option<u8>) -> Vec<u8> {
    let (width, height) = (32_u32, 16_u32);
    let pixels: Vec<u8> =
        (0..width * height).flat_map(|place| if place % width < width / 2 { RED } else { BLUE }).collect();
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, 95);
    encoder.write_image(&pixels, width, height, ExtendedColorType::Rgb8).expect("memory");
    if let Some(orientation) = orientation {
        // One entry, tag 0x0112, of one short.
        let tiff = [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation], &[0; 6]].concat();
        let length = (tiff.len() as u16 + 2).to_be_bytes();
        file.splice(2..2, [&[0xff, 0xe1][..], &length, &tiff].concat());
    }
    file
}

/// The chunks of a PNG, each with its type and where it begins and ends.
fn chunks(file: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), 8);
    while let Some(head) = file.get(at..at + 8) {
        let length = u32::from_be_bytes(head[..4].try_into().expect("four")) as usize;
        found.push((String::from_utf8_lossy(&head[4..]).into_owned(), at..at + 12 + length));
        at += 12 + length;
    }
    found
}

/// A PNG with the header of a picture of that size, whatever follows.
fn with_size(mut file: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&file[12..29]);
    file[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    file
}

fn is_near(pixel: &[u8], color: [u8; 3]) -> bool {
    pixel.iter().zip(color).all(|(value, wanted)| value.abs_diff(wanted) < 24)
}

#[test]
fn every_format_is_decoded_to_rgb() {
    let pixels = [RED, BLUE, [1, 2, 3], [250, 251, 252]].concat();
    let png = decode(&png_of(png::ColorType::Rgb, (2, 2), &pixels, |_| ())).expect("a PNG");
    assert_eq!((png.width, png.height, &png.rgb), (2, 2, &pixels));
    let plain = PictureFacts {
        format: PictureFormat::Png,
        orientation: 1,
        has_alpha: false,
        color_profile: ColorProfile::None,
    };
    assert_eq!(png.facts, plain);
    let mut webp = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.write_image(&pixels, 2, 2, ExtendedColorType::Rgb8).expect("memory");
    let webp = decode(&webp).expect("a WebP");
    assert_eq!((webp.rgb, webp.facts), (pixels, PictureFacts { format: PictureFormat::Webp, ..plain }));
    let jpeg = decode(&jpeg(None)).expect("a JPEG");
    assert_eq!((jpeg.width, jpeg.height, jpeg.facts.format), (32, 16, PictureFormat::Jpeg));
    assert!(is_near(&jpeg.rgb[..3], RED) && is_near(&jpeg.rgb[93..96], BLUE));
}

#[test]
fn an_exif_orientation_is_applied_and_stated() {
    let corners = |picture: &DecodedPicture| {
        let last = picture.rgb.len() - 3;
        [0, 3 * (picture.width as usize - 1), last].map(|at| picture.rgb[at..at + 3].to_vec())
    };
    for (orientation, size, expected) in [
        (1, (32, 16), [RED, BLUE, BLUE]),
        (2, (32, 16), [BLUE, RED, RED]),
        (3, (32, 16), [BLUE, RED, RED]),
        (6, (16, 32), [RED, RED, BLUE]),
        (8, (16, 32), [BLUE, BLUE, RED]),
    ] {
        let picture = decode(&jpeg(Some(orientation))).expect("a JPEG");
        assert_eq!(((picture.width, picture.height), picture.facts.orientation), (size, orientation));
        for (found, wanted) in corners(&picture).iter().zip(expected) {
            assert!(is_near(found, wanted), "{orientation}: {found:?} instead of {wanted:?}");
        }
    }
    let unknown = decode(&jpeg(Some(77))).expect("a JPEG");
    assert_eq!((unknown.facts.orientation, unknown.width), (1, 32));
}

#[test]
fn transparent_pixels_are_composited_on_white() {
    let pixels = [[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128], [10, 20, 30, 255]].concat();
    let picture = decode(&png_of(png::ColorType::Rgba, (4, 1), &pixels, |_| ())).expect("a PNG");
    assert!(picture.facts.has_alpha);
    assert_eq!(picture.rgb, [[255, 0, 0], [255, 255, 255], [127, 127, 127], [10, 20, 30]].concat());
    // A grey picture with a transparent value, and a palette with a transparent entry.
    let grey = png_of(png::ColorType::Grayscale, (2, 1), &[7, 9], |info| info.trns = Some(Cow::Borrowed(&[0, 7])));
    assert_eq!(decode(&grey).expect("a PNG").rgb, [255, 255, 255, 9, 9, 9]);
    let indexed = png_of(png::ColorType::Indexed, (2, 1), &[0, 1], |info| {
        info.palette = Some(Cow::Borrowed(&[255, 0, 0, 0, 0, 255]));
        info.trns = Some(Cow::Borrowed(&[0]));
    });
    assert_eq!(decode(&indexed).expect("a PNG").rgb, [255, 255, 255, 0, 0, 255]);
}

#[test]
fn a_colour_profile_is_converted_and_stated() {
    let pixels = [[255, 0, 0], [128, 128, 128], [0, 255, 0]].concat();
    let with =
        |profile: Vec<u8>| png_of(png::ColorType::Rgb, (3, 1), &pixels, |info| info.icc_profile = Some(profile.into()));
    let wide = decode(&with(moxcms::ColorProfile::new_adobe_rgb().encode().expect("a profile"))).expect("a PNG");
    assert!(matches!(&wide.facts.color_profile, ColorProfile::Converted(_)), "{:?}", wide.facts);
    // Green of Adobe RGB lies outside of sRGB; grey stays grey.
    assert_eq!(wide.rgb[7], 255);
    assert!(wide.rgb[3..6].iter().all(|value| value.abs_diff(wide.rgb[3]) <= 1), "{:?}", wide.rgb);
    assert_ne!(wide.rgb, pixels);
    let srgb = decode(&with(moxcms::ColorProfile::new_srgb().encode().expect("a profile"))).expect("a PNG");
    assert_eq!((srgb.rgb, srgb.facts.color_profile), (pixels.clone(), ColorProfile::Srgb));
    let unreadable = decode(&with(vec![7; 5000])).expect("a PNG");
    assert_eq!(unreadable.rgb, pixels);
    assert!(matches!(unreadable.facts.color_profile, ColorProfile::Ignored(_)), "{:?}", unreadable.facts);
}

#[test]
fn what_is_not_a_picture_or_too_large_is_refused() {
    assert_eq!(decode(b"GIF89a"), Err(PictureError::UnknownFormat));
    assert_eq!(decode(b""), Err(PictureError::UnknownFormat));
    let file = png_of(png::ColorType::Rgb, (2, 2), &[0; 12], |_| ());
    let limits = PictureLimits { bytes_max: 8, ..PictureLimits::default() };
    assert!(matches!(decode_picture(&file, &limits), Err(PictureError::TooManyBytes { limit: 8, .. })));
    let small = PictureLimits { pixels_max: 3, ..PictureLimits::default() };
    assert!(matches!(decode_picture(&file, &small), Err(PictureError::TooManyPixels { width: 2, height: 2, .. })));
    // A few bytes whose header states gigabytes of pixels.
    for (width, height) in [(60_000, 60_000), (u32::MAX >> 1, 1), (16_385, 1), (4097, 4097)] {
        let bomb = with_size(file.clone(), width, height);
        let refused = decode(&bomb);
        assert!(
            matches!(refused, Err(PictureError::TooManyPixels { .. } | PictureError::Broken { .. })),
            "{width}x{height}: {refused:?}"
        );
    }
    let animated = {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_animated(2, 0).expect("valid");
        let mut writer = encoder.write_header().expect("memory");
        writer.write_image_data(&[1, 2, 3]).expect("memory");
        writer.write_image_data(&[4, 5, 6]).expect("memory");
        writer.finish().expect("memory");
        file
    };
    assert_eq!(decode(&animated), Err(PictureError::Animated));
}

#[test]
fn a_damaged_picture_is_refused() {
    let pixels: Vec<u8> = (0..48 * 48 * 3).map(|place: u32| (place * 31 % 251) as u8).collect();
    let png = png_of(png::ColorType::Rgb, (48, 48), &pixels, |_| ());
    let (_, data) = chunks(&png).into_iter().find(|(kind, _)| kind == "IDAT").expect("data");
    let mut wrong_sum = png.clone();
    wrong_sum[data.end - 1] ^= 1;
    let mut wrong_pixels = png.clone();
    wrong_pixels[data.start + 40] ^= 0x55;
    let mut too_many_scans = jpeg(None);
    let scan = too_many_scans.windows(2).position(|pair| pair == [0xff, 0xda]).expect("a scan");
    let header = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0];
    too_many_scans.splice(scan..scan, header.repeat(40));
    assert!(matches!(decode(&too_many_scans), Err(PictureError::TooManyScans { .. })));
    let whole = jpeg(None);
    for (name, file) in [
        ("sum", wrong_sum),
        ("pixels", wrong_pixels),
        ("cut PNG", png[..png.len() / 2].to_vec()),
        ("cut JPEG", whole[..whole.len() - 40].to_vec()),
        ("head alone", png[..8].to_vec()),
        ("another size", with_size(png.clone(), 48, 4000)),
    ] {
        let refused = decode(&file);
        assert!(matches!(refused, Err(PictureError::Broken { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn a_profile_that_expands_to_much_is_refused_or_ignored() {
    // 256 MiB of zeros in 256 KiB.
    let mut zeros = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        std::io::Write::write_all(&mut zeros, &[0; 1 << 20]).expect("memory");
    }
    let body = [&b"iCCPx\0\0"[..], &zeros.finish().expect("memory")].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let chunk = [&(body.len() as u32 - 4).to_be_bytes()[..], &body, &crc.sum().to_be_bytes()].concat();
    let mut file = png_of(png::ColorType::Rgb, (1, 1), &[1, 2, 3], |_| ());
    file.splice(33..33, chunk);
    match decode(&file) {
        Ok(picture) => {
            assert_eq!((picture.rgb.as_slice(), picture.facts.color_profile), (&[1, 2, 3][..], ColorProfile::None))
        }
        Err(error) => assert!(matches!(error, PictureError::Broken { .. }), "{error}"),
    }
}

mod hostile {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn altered_files_end_in_a_picture_or_an_error(
            which in 0..3_usize,
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let profile = moxcms::ColorProfile::new_display_p3().encode().expect("a profile");
            let mut file = match which {
                0 => png_of(png::ColorType::Rgba, (8, 8), &[9; 256], |info| info.icc_profile = Some(profile.into())),
                1 => jpeg(Some(6)),
                _ => {
                    let mut webp = Vec::new();
                    let encoder = WebPEncoder::new_lossless(&mut webp);
                    encoder.write_image(&[7; 300], 10, 10, ExtendedColorType::Rgb8).expect("memory");
                    webp
                }
            };
            for (place, value) in places {
                let place = place.index(file.len());
                file[place] ^= value;
            }
            file.truncate(12 + cut.index(3 * file.len()));
            if let Ok(picture) = decode(&file) {
                prop_assert_eq!(picture.rgb.len(), 3 * picture.width as usize * picture.height as usize);
            }
        }
    }
}
