//! `sakuga jobs fetch`: the pictures of a completed job or smaller versions of them, each checked before it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_client::Client;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::{GetArtifactRequest, ImageInfo};
use tokio::runtime::Runtime;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::server::ServerArguments;
use crate::cli::units;

/// More than any JPEG of 2048 x 2048 pixels has.
const THUMBNAIL_BYTES_MAX: u64 = 16 << 20;

/// Which pictures, and where to.
#[derive(Debug, Args)]
pub(crate) struct FetchArguments {
    /// The job, as for `jobs get`
    #[arg(value_name = "JOB")]
    job_id: String,

    #[command(flatten)]
    server: ServerArguments,

    /// The file to write [default: out.png, or out.jpg with --max-edge]; several pictures get -0, -1, ... before the extension
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Fetch JPEGs whose longer edge has at most this many pixels, 16 to 2048; they carry no request
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    max_edge: Option<u32>,

    /// Only this picture of the batch, counted from 0
    #[arg(long, value_name = "INDEX")]
    image: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(runtime: &Runtime, arguments: &FetchArguments) -> Result<Exit, Failure> {
    let max_edge = arguments.max_edge.unwrap_or_default();
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => PathBuf::from(if max_edge == 0 { "out.png" } else { "out.jpg" }),
    };
    match max_edge {
        0 => output::check_picture(&out)?,
        _ => output::check_thumbnail(&out)?,
    }
    runtime.block_on(async {
        let (client, job_id) = super::connect(&arguments.server, &arguments.job_id).await?;
        let images = super::get(&client, job_id.clone()).await?.images;
        let known: BTreeMap<u32, &ImageInfo> =
            images.iter().enumerate().map(|(position, image)| (image.index_at(position), image)).collect();
        let wanted = match arguments.image {
            Some(image_index) => vec![image_index],
            // A job without pictures is asked for its first one, so that the server says why it has no picture.
            None if known.is_empty() => vec![0],
            None => known.keys().copied().collect(),
        };
        let paths: Vec<PathBuf> =
            wanted.iter().map(|image_index| output::picture_file(&out, wanted.len(), *image_index)).collect();
        output::check_all_writable(&paths)?;
        for (image_index, path) in wanted.into_iter().zip(paths) {
            let call = GetArtifactRequest { job_id: job_id.clone(), image_index, max_edge, ..Default::default() };
            fetch(&client, call, known.get(&image_index).copied(), &path).await?;
            output::print(format_args!("{}\n", output::shown(&path)))?;
        }
        Ok(Exit::Ok)
    })
}

async fn fetch(
    client: &Client,
    call: GetArtifactRequest,
    image: Option<&ImageInfo>,
    path: &Path,
) -> Result<(), Failure> {
    let (image_index, is_thumbnail) = (call.image_index, call.max_edge > 0);
    let size = image.map_or(0, |image| if is_thumbnail { THUMBNAIL_BYTES_MAX } else { image.size });
    let max_bytes = client.options().max_pictures_bytes;
    if size > max_bytes {
        let text = format!(
            "picture {image_index} has {}; at most {} are fetched",
            units::bytes(size),
            units::bytes(max_bytes)
        );
        return Err(Failure::new(Exit::Server, text));
    }
    let explain = |status: tonic::Status| Failure::from(client.explain(&status));
    let mut pieces = client.jobs().get_artifact(call).await.map_err(explain)?.into_inner();
    let (mut file, mut sha256) = (Vec::new(), image.map(|image| image.sha256.clone()).unwrap_or_default());
    while let Some(piece) = pieces.message().await.map_err(explain)? {
        if is_thumbnail {
            sha256 = piece.sha256;
        }
        file.extend_from_slice(&piece.chunk.unwrap_or_default().data);
        if file.len() as u64 > size {
            break;
        }
    }
    if !sha256_hex(&file).eq_ignore_ascii_case(&sha256) {
        let text = format!("picture {image_index} arrived damaged; nothing was written");
        return Err(Failure::new(Exit::Server, text));
    }
    output::write_file(path, &file)
}
