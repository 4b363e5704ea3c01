//! `sakuga assets`: files on the server that requests refer to.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sakuga_client::proto::asset::v1::{Asset, AssetKind, ColorProfile, ListAssetsResponse, asset};
use sakuga_client::proto::text::{count, one_line};
use sakuga_client::{AssetError, AssetFile, Client, Resume};

use super::exit::{self, Exit};
use super::failure::Failure;
use super::server::{self, ServerArguments};
use super::{clock, output, replace, units};

/// Digits of a SHA-256.
const WHOLE: usize = 64;
/// The fewest digits that stand for an asset.
const SHORT_MIN: usize = 4;

/// Upload pictures and adapters, list, fetch and delete them
///
/// Requests name an asset by its SHA-256. An asset belongs to the token or certificate that uploaded it.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct AssetsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Upload PNG, JPEG, WebP or safetensors files, and print the SHA-256 of each
    Upload(UploadArguments),
    /// List the assets, the newest first
    List(ListArguments),
    /// Write an asset to a file
    Get(GetArguments),
    /// Delete assets
    Delete(DeleteArguments),
}

#[derive(Debug, Args)]
struct UploadArguments {
    /// The files. What the server has already is not sent again
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    server: ServerArguments,

    /// Print each asset as protobuf JSON (sakuga.asset.v1.Asset), one a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print protobuf JSON (sakuga.asset.v1.ListAssetsResponse)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct GetArguments {
    /// The asset: its SHA-256, or the beginning of it
    #[arg(value_name = "SHA256")]
    sha256: String,

    #[command(flatten)]
    server: ServerArguments,

    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct DeleteArguments {
    /// The assets: the SHA-256 of each, or the beginning of it
    #[arg(value_name = "SHA256", required = true)]
    sha256: Vec<String>,

    #[command(flatten)]
    server: ServerArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &AssetsArguments) -> Result<Exit, Failure> {
    let runtime = server::runtime()?;
    match &arguments.action {
        Action::Upload(arguments) => runtime.block_on(upload(arguments)),
        Action::List(arguments) => runtime.block_on(list(arguments)),
        Action::Get(arguments) => runtime.block_on(get(arguments)),
        Action::Delete(arguments) => runtime.block_on(delete(arguments)),
    }
}

async fn upload(arguments: &UploadArguments) -> Result<Exit, Failure> {
    let read = |path: &PathBuf| AssetFile::open(path).map_err(|error| Failure::unreadable(path, error));
    let files = arguments.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let client = arguments.server.connect().await?;
    for (file, path) in files.iter().zip(&arguments.files) {
        let uploaded = client.upload_asset(file, Resume::default()).await.map_err(|error| failure(error, path))?;
        let asset = uploaded.asset.unwrap_or_default();
        output::print_answer(arguments.json, &asset, |asset| format!("{}\n", line(asset)))?;
    }
    Ok(Exit::Ok)
}

async fn list(arguments: &ListArguments) -> Result<Exit, Failure> {
    let client = arguments.server.connect().await?;
    let listed = client.list_assets().await?;
    output::print_answer(arguments.json, &listed, table)?;
    Ok(Exit::Ok)
}

async fn get(arguments: &GetArguments) -> Result<Exit, Failure> {
    let out = &arguments.out;
    output::check_is_file(out, "--out")?;
    output::check_writable(out)?;
    let client = arguments.server.connect().await?;
    let sha256 = resolve(&client, &arguments.sha256).await?;
    // Written to a file of its own until it is complete.
    let unwritable = |error: std::io::Error| Failure::unwritable(out, error);
    let mut replacement = replace::Replacement::begin(out).map_err(unwritable)?;
    client.download_asset(&sha256, Resume::default(), replacement.file()).await.map_err(|error| failure(error, out))?;
    replacement.finish().map_err(unwritable)?;
    output::print(format_args!("{}\n", output::shown(out)))?;
    Ok(Exit::Ok)
}

async fn delete(arguments: &DeleteArguments) -> Result<Exit, Failure> {
    let client = arguments.server.connect().await?;
    for given in &arguments.sha256 {
        let sha256 = resolve(&client, given).await?;
        client.delete_asset(&sha256).await?;
        output::print(format_args!("{} is deleted\n", one_line(&sha256)))?;
    }
    Ok(Exit::Ok)
}

/// The asset that the user means. A text that matches none is returned unchanged, so that the server reports what is
/// wrong with it.
async fn resolve(client: &Client, given: &str) -> Result<String, Failure> {
    if given.len() >= WHOLE || given.len() < SHORT_MIN {
        return Ok(given.to_owned());
    }
    find(&client.list_assets().await?.assets, given)
}

fn find(assets: &[Asset], given: &str) -> Result<String, Failure> {
    let part = given.to_lowercase();
    let found: Vec<&str> =
        assets.iter().map(|asset| asset.sha256.as_str()).filter(|sha256| sha256.starts_with(&part)).collect();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] => Err(Failure::new(Exit::Server, format_args!("no asset begins with `{}`", one_line(given)))
            .with_help("`sakuga assets list` shows those that there are")),
        [..] => {
            let text = format!("{} assets begin with `{}`", found.len(), one_line(given));
            Err(Failure::new(Exit::Unreadable, text).with_help("give more digits"))
        }
    }
}

fn failure(error: AssetError, path: &Path) -> Failure {
    match error {
        AssetError::Client(error) => error.into(),
        AssetError::File { path: named, source } => {
            let file = if named.as_os_str().is_empty() { path } else { &named };
            Failure::new(Exit::Unwritable, format_args!("{}: {source}", file.display()))
        }
    }
}

/// One asset a line, then what is used of the quota.
fn table(listed: &ListAssetsResponse) -> String {
    let mut text = listed.assets.iter().fold(String::new(), |mut text, asset| {
        let time = asset.create_time.map(|time| format!("  {}", clock::seconds(time))).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{time}", line(asset));
        text
    });
    let (used, quota) = (units::bytes(listed.used_bytes), units::bytes(listed.quota_bytes));
    let _ = writeln!(text, "{}, {used} of {quota} used", count(listed.assets.len(), "asset"));
    text
}

/// `SHA256  PNG  1.2 MiB  1024x768, alpha on white`.
fn line(asset: &Asset) -> String {
    let kind = match asset.kind() {
        AssetKind::Unspecified => "?",
        AssetKind::Png => "PNG",
        AssetKind::Jpeg => "JPEG",
        AssetKind::Webp => "WebP",
        AssetKind::Safetensors => "safetensors",
    };
    let facts = match &asset.facts {
        Some(asset::Facts::Picture(picture)) => {
            let mut facts = vec![format!("{}x{}", picture.width, picture.height)];
            if picture.exif_orientation > 1 {
                facts.push(format!("EXIF orientation {} applied", picture.exif_orientation));
            }
            if picture.has_alpha {
                facts.push("alpha on white".to_owned());
            }
            let detail = one_line(&picture.color_profile_detail);
            match picture.color_profile() {
                ColorProfile::Converted => facts.push(format!("colours converted from {detail}")),
                ColorProfile::Ignored => facts.push(format!("colour profile ignored: {detail}")),
                ColorProfile::Unspecified | ColorProfile::None | ColorProfile::Srgb => {}
            }
            facts.join(", ")
        }
        Some(asset::Facts::Tensors(tensors)) => count(tensors.tensors as usize, "tensor"),
        None => String::new(),
    };
    let line = format!("{}  {kind}  {}  {facts}", one_line(&asset.sha256), units::bytes(asset.size));
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::asset::v1::PictureFacts;

    use super::*;

    #[test]
    fn an_asset_is_a_line_that_states_what_is_done_to_it() {
        let picture = PictureFacts {
            width: 64,
            height: 32,
            exif_orientation: 6,
            has_alpha: true,
            color_profile: ColorProfile::Converted.into(),
            color_profile_detail: "Display\u{1b} P3".to_owned(),
        };
        let asset = Asset {
            sha256: "ab".repeat(32),
            size: 2048,
            kind: AssetKind::Png.into(),
            facts: Some(asset::Facts::Picture(picture)),
            ..Asset::default()
        };
        let expected = format!(
            "{}  PNG  2.0 KiB  64x32, EXIF orientation 6 applied, alpha on white, colours converted from Display\u{fffd} P3",
            "ab".repeat(32)
        );
        assert_eq!(line(&asset), expected);
        let listed =
            ListAssetsResponse { assets: vec![asset], used_bytes: 2048, quota_bytes: 1 << 30, ..Default::default() };
        assert!(table(&listed).ends_with("1 asset, 2.0 KiB of 1.0 GiB used\n"), "{}", table(&listed));
    }

    #[test]
    fn the_beginning_stands_for_one_asset() {
        let named = |digits: &str| Asset { sha256: digits.repeat(WHOLE / digits.len()), ..Asset::default() };
        let assets = [named("ab"), named("abcd"), named("0123")];
        assert_eq!(find(&assets, "0123").unwrap(), "0123".repeat(16));
        assert_eq!(find(&assets, "ABCD").unwrap(), "abcd".repeat(16));
        assert!(find(&assets, "ab").unwrap_err().message().contains("2 assets"));
        assert!(find(&assets, "ffff").unwrap_err().message().contains("no asset"));
    }
}
