//! `sakuga top` without a terminal.

use std::process::Stdio;
use std::time::Duration;

use sakuga_client::proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_client::proto::system::v1::system_service_server::SystemServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::fake::Fake;
use crate::info::System;
use crate::jobs::Kept;
use crate::support::{Run, collect, command};

async fn top(address: &str, arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    command.arg("top").args(arguments).args(["--server", address]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    collect(tokio::time::timeout(Duration::from_secs(30), output).await.expect("it ends").unwrap())
}

#[tokio::test]
async fn one_look_is_plain_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder()
        .add_service(SystemServiceServer::new(System))
        .add_service(JobServiceServer::new(Kept::default()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let run = top(&address, &["--once"]).await;
    let expected = format!(
        "http://{address}\n0.1.0 scripted, cpu, f32\nhost: 51 % load\nscratch\u{fffd}[2J            1.0 KiB of 4.0 KiB held\n\
         held by this server 1.0 MiB, process 8 1.0 GiB\njob done, text encode, step 3 of 28\n2 jobs waiting\n\
         done  completed  ?  1 picture, 9 B\n"
    );
    assert_eq!(run.expect(0).stdout, expected);
}

#[tokio::test]
async fn a_server_without_the_calls_is_reported() {
    let fake = Fake::playing(vec![]).await;
    top(&fake.address.to_string(), &["--once"]).await.expect(3).says("UNIMPLEMENTED").says("or an older version");
}

#[tokio::test]
async fn without_a_terminal_once_is_suggested() {
    top("127.0.0.1:1", &[]).await.expect(2).says("needs a terminal").says("--once");
    top("127.0.0.1:1", &["--once"]).await.expect(4).says("nothing listens");
}
