//! `store export` and `store import`: the jobs of one folder are added to another, and nothing is ever replaced.

use std::path::Path;

use sakuga_proto::asset::v1::GetAssetRequest;
use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GetArtifactRequest, GetJobRequest, Job, JobState, ListJobsRequest,
};

use crate::process;
use crate::program::{Assets, Jobs, Program, store};
use crate::support::{PATIENCE, Seen, request};
use crate::uploads::{parts, picture as png};

const QUICK: [&str; 2] = ["--scripted-step-ms", "0"];

/// A request for one picture of a batch, which keeps its index.
fn third_of_three(name: &str) -> CreateJobRequest {
    let mut call = request(name, 3);
    if let Some(request) = &mut call.request {
        (request.images, request.image_indices) = (3, vec![2]);
    }
    call
}

async fn draw(jobs: &mut Jobs, name: &str) -> String {
    let made = jobs.create_job(third_of_three(name)).await.expect("accepted").into_inner();
    let job_id = made.job.expect("a job").job_id;
    let mut seen = Seen::default();
    tokio::time::timeout(PATIENCE, seen.follow(jobs, &job_id)).await.expect("in time").expect("it lives");
    job_id
}

async fn list(jobs: &mut Jobs) -> Vec<Job> {
    jobs.list_jobs(ListJobsRequest::default()).await.expect("readable").into_inner().jobs
}

async fn picture(jobs: &mut Jobs, job_id: &str) -> String {
    let job = jobs.get_job(GetJobRequest { job_id: job_id.into() }).await.expect("kept").into_inner().job;
    let image_index = job.expect("a job").images[0].index_at(0);
    let call = GetArtifactRequest { job_id: job_id.into(), image_index, ..GetArtifactRequest::default() };
    let mut stream = jobs.get_artifact(call).await.expect("kept").into_inner();
    let mut file = Vec::new();
    while let Some(piece) = stream.message().await.expect("readable") {
        file.extend(piece.chunk.expect("a piece").data);
    }
    sha256_hex(&file)
}

async fn upload(assets: &mut Assets, shade: u8) -> String {
    let uploaded = assets.upload_asset(tokio_stream::iter(parts(&png(shade), 0))).await.expect("kept").into_inner();
    uploaded.asset.expect("an asset").sha256
}

async fn asset(assets: &mut Assets, sha256: &str) -> Result<Vec<u8>, tonic::Status> {
    let call = GetAssetRequest { sha256: sha256.into(), ..GetAssetRequest::default() };
    let (mut stream, mut file) = (assets.get_asset(call).await?.into_inner(), Vec::new());
    while let Some(piece) = stream.message().await? {
        file.extend(piece.data);
    }
    Ok(file)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_come_to_another_folder_as_they_were() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let [from, to, archive] = ["from", "to", "jobs.tar"].map(|name| work.path().join(name));
    [&from, &to].into_iter().for_each(|folder| std::fs::create_dir(folder).expect("made"));
    // Two ended jobs, one that runs and one that waits.
    let server = Program::start(&from, &["--scripted-step-ms", "60", "--drain-timeout", "0"]);
    let mut jobs = server.jobs().await;
    for name in ["one", "two"] {
        draw(&mut jobs, name).await;
    }
    for name in ["runs", "waits"] {
        jobs.create_job(request(name, 100)).await.expect("accepted");
    }
    let sha256 = upload(&mut server.assets().await, 1).await;
    assert_eq!(store("export", &from, &["--out", text(&archive)]).0, 1, "a server uses the folder");
    assert!(!archive.exists());
    server.kill();

    let (status, said) = store("export", &from, &["--out", text(&archive)]);
    assert_eq!((status, said.contains("4 jobs and 2 pictures, and 1 asset,")), (0, true), "{said}");
    let (status, said) = store("export", &from, &["--out", text(&archive)]);
    assert!(status == 1 && said.contains("jobs.tar") && said.contains("--out"), "an archive is not replaced: {said}");
    let listed = std::process::Command::new("tar").arg("-tf").arg(&archive).output().expect("tar runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.starts_with("sakuga-jobs.json\n") && listed.ends_with("end.json\n"), "{listed}");
    assert_eq!(listed.matches("/pictures/2.png").count(), 2, "{listed}");

    let (status, said) = store("import", &to, &[text(&archive)]);
    assert_eq!((status, said.contains("4 jobs imported, 0 already there")), (0, true), "{said}");
    assert!(said.contains("1 asset imported, 0 already there"), "{said}");
    let (status, said) = store("import", &to, &[text(&archive)]);
    assert_eq!((status, said.contains("0 jobs imported, 4 already there")), (0, true), "{said}");
    assert!(said.contains("0 assets imported, 1 already there"), "{said}");
    assert_eq!(store("check", &to, &[]).0, 0);

    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (folder, found) in [(&from, &mut old), (&to, &mut new)] {
        let server = Program::start(folder, &QUICK);
        let mut jobs = server.jobs().await;
        for job in list(&mut jobs).await {
            let mut seen = Seen::default();
            tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &job.job_id))
                .await
                .expect("in time")
                .expect("it lives");
            let ended = jobs.get_job(GetJobRequest { job_id: job.job_id.clone() }).await.expect("there").into_inner();
            assert_eq!(ended.job.expect("a job").state(), JobState::Completed);
            found.push((job.job_id.clone(), job.request_id, seen.pixels(), picture(&mut jobs, &job.job_id).await));
        }
        assert_eq!(asset(&mut server.assets().await, &sha256).await.expect("it came along"), png(1));
        // Names are imported too: a repeated call finds its job.
        let made = jobs.create_job(third_of_three("one")).await.expect("known").into_inner();
        assert!(made.existed);
    }
    assert_eq!((old.len(), &old), (4, &new));

    // The jobs that ran have ended in both folders, each at its own time: none replaces the other.
    let (status, said) = store("import", &to, &[text(&archive)]);
    assert_eq!(
        (status, said.matches("not imported: the folder has this job with other contents").count()),
        (1, 2),
        "{said}"
    );
    assert_eq!(store("check", &to, &[]).0, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_is_altered_or_cut_off_is_refused() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let [from, to, archive, bad] = ["from", "to", "jobs.tar", "bad.tar"].map(|name| work.path().join(name));
    std::fs::create_dir(&from).expect("made");
    let server = Program::start(&from, &QUICK);
    let mut jobs = server.jobs().await;
    for number in 0..3 {
        draw(&mut jobs, &number.to_string()).await;
    }
    for shade in 0..8 {
        upload(&mut server.assets().await, shade).await;
    }
    drop(jobs);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(store("export", &from, &["--out", text(&archive)]).0, 0);
    let good = std::fs::read(&archive).expect("there");
    for at in (600..good.len()).step_by(good.len() / 40) {
        let (mut flipped, cut) = (good.clone(), good[..at].to_vec());
        flipped[at] ^= 0x10;
        for (what, bytes) in [("flipped", flipped), ("cut", cut)] {
            // Padding has no meaning, and nothing but padding comes after the last file.
            let is_padding = if what == "flipped" { good[at] == 0 } else { good[at..].iter().all(|byte| *byte == 0) };
            std::fs::write(&bad, bytes).expect("written");
            std::fs::create_dir(&to).expect("made");
            let (status, said) = store("import", &to, &[text(&bad)]);
            assert!(status == 1 || is_padding, "{what} at {at}: {said}");
            assert!(!said.contains("panicked"), "{said}");
            // What came before the damage is whole.
            let (checked, said) = store("check", &to, &[]);
            let is_left_over = said.contains("no job has these pictures") || said.contains("nobody has this asset");
            assert!(checked == 0 || is_left_over, "{what} at {at}: {said}");
            std::fs::remove_dir_all(&to).expect("removed");
        }
    }
    // What was added before the archive ends stays, and its number is named.
    std::fs::write(&bad, &good[..good.len() * 2 / 3]).expect("written");
    std::fs::create_dir(&to).expect("made");
    let (status, said) = store("import", &to, &[text(&bad)]);
    let is_cut = said.contains("cut off") || said.contains("checksum");
    let is_said = is_cut && said.contains("before that, ") && said.contains(" imported, ");
    assert!(status == 1 && is_said && !said.contains("before that, 0 jobs"), "{said}");
    std::fs::remove_dir_all(&to).expect("removed");
    for content in [&b""[..], b"no archive", &[0; 10_240]] {
        std::fs::write(&bad, content).expect("written");
        std::fs::create_dir_all(&to).expect("made");
        let (status, said) = store("import", &to, &[text(&bad)]);
        assert!(status == 1 && said.contains("the archive cannot be used"), "{said}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let missing = work.path().join("nothing");
    for (command, arguments) in [("check", &[][..]), ("repair", &[]), ("export", &["--out", "-"]), ("import", &["-"])] {
        let (status, said) = store(command, &missing, arguments);
        assert!(status == 1 && said.contains(text(&missing)), "{command}: {said}");
    }
    assert!(!missing.exists());
    assert_eq!(process::run(&["store", "check"]).0, Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_survives_a_kill_and_its_damage_is_found_and_not_sent() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let server = Program::start(work.path(), &QUICK);
    let mut assets = server.assets().await;
    let [sound, altered, gone] =
        [upload(&mut assets, 1).await, upload(&mut assets, 2).await, upload(&mut assets, 3).await];
    drop(assets);
    server.kill();
    let (status, said) = store("check", work.path(), &[]);
    assert_eq!((status, said.contains("3 assets of")), (0, true), "{said}");
    let file = |sha256: &str| work.path().join("assets").join(sha256);
    std::fs::write(file(&altered), png(9)).expect("written");
    std::fs::remove_file(file(&gone)).expect("removed");
    let server = Program::start(work.path(), &QUICK);
    let mut assets = server.assets().await;
    assert_eq!(asset(&mut assets, &sound).await.expect("it is sound"), png(1));
    for sha256 in [&altered, &gone] {
        let lost = asset(&mut assets, sha256).await.expect_err("it is not what it was");
        assert_eq!(lost.code(), tonic::Code::DataLoss, "{lost:?}");
        assert!(lost.message().contains(sha256.as_str()), "{lost:?}");
    }
    drop(assets);
    assert_eq!(server.terminate(), Some(0));
    let (status, said) = store("check", work.path(), &[]);
    assert_eq!((status, said.contains("2 problems")), (1, true), "{said}");
    let (status, said) = store("export", work.path(), &["--out", text(&work.path().join("out.tar"))]);
    assert_eq!((status, said.matches("left out").count(), said.contains("and 1 asset,")), (1, 2, true), "{said}");
    // A database whose structure is damaged is read page by page.
    let database = work.path().join("jobs.redb");
    let mut bytes = std::fs::read(&database).expect("there");
    bytes[..64].fill(0xff);
    std::fs::write(&database, bytes).expect("written");
    let (_, said) = store("repair", work.path(), &[]);
    assert!(said.contains("and 2 assets;"), "those that have a file: {said}");
    let server = Program::start(work.path(), &QUICK);
    assert_eq!(asset(&mut server.assets().await, &sound).await.expect("it is sound"), png(1));
    assert_eq!(server.terminate(), Some(0));
}
