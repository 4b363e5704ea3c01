//! The largest message of each shape, for each method: what is refused costs next to nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::raw::RawCodec;

/// Bytes of a message: as many as a public method, a method without a prompt and one with a prompt take, and many more.
const SIZES: [usize; 4] = [4 * 1024 - 64, 16 * 1024 - 64, 512 * 1024 - 64, 3 << 20];
/// Messages within messages.
const DEPTH_MAX: usize = 4;
/// CPU time of a refused message. `/proc` counts in hundredths of a second; one of them belongs to the machine.
const CPU_TICKS_MAX: u64 = 5 + 1;
/// Memory of a refused message.
const MEMORY_KIB_MAX: u64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a process of its own, whose CPU time and memory can be read.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start() -> Self {
        let flags = ["--engine=scripted", "--listen=127.0.0.1:0", "--scripted-step-ms=0", "--queue-size=100000"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_sakuga-server"));
        let mut child =
            command.args(flags).env_clear().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("listening on ").expect("the promised line").to_owned();
        Self { child, url }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the server runs")
    }

    /// CPU time in hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    }

    pub fn kib(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sets the peak of the memory to what is in use, which is returned.
    pub fn reset_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("our own process");
        self.kib("VmRSS")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field with its bytes.
fn delimited(field: &FieldDescriptor, value: &[u8]) -> Vec<u8> {
    [varint(u64::from(field.number()) << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn repeated(element: &[u8], bytes: usize) -> Vec<u8> {
    element.repeat(bytes / element.len())
}

/// Messages of about so many bytes, each with one thing as often or as large as possible.
fn shapes(message: &MessageDescriptor, bytes: usize, depth: usize) -> Vec<(String, Vec<u8>)> {
    let mut shapes = Vec::new();
    for field in message.fields() {
        let name = field.name().to_owned();
        match field.kind() {
            Kind::String | Kind::Bytes => {
                for text in ["a", "<", ",", "a,b", " ", "(a:1.1)", "<a>"] {
                    shapes.push((
                        format!("{name}: one of {text:?}"),
                        delimited(&field, &repeated(text.as_bytes(), bytes)),
                    ));
                    if field.is_list() {
                        shapes.push((
                            format!("{name}: many of {text:?}"),
                            repeated(&delimited(&field, text.as_bytes()), bytes),
                        ));
                    }
                }
                shapes.push((format!("{name}: many empty"), repeated(&delimited(&field, b""), bytes)));
            }
            Kind::Message(inner) => {
                shapes.push((format!("{name}: many empty"), repeated(&delimited(&field, b""), bytes)));
                if depth < DEPTH_MAX {
                    for (inside, value) in self::shapes(&inner, bytes - 16, depth + 1) {
                        shapes.push((format!("{name}.{inside}"), delimited(&field, &value)));
                    }
                }
            }
            _ => {
                let tag = varint(u64::from(field.number()) << 3);
                shapes.push((format!("{name}: many numbers"), repeated(&[tag, vec![1]].concat(), bytes)));
                if field.is_list() {
                    shapes.push((format!("{name}: packed"), delimited(&field, &vec![1; bytes])));
                }
            }
        }
    }
    shapes
}

/// Calls, and reads the first message of the answer.
async fn call(channel: &Channel, method: &MethodDescriptor, message: Bytes) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(64 << 20);
    client.ready().await.expect("the server is there");
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let answer = client.server_streaming(Request::new(message), path.try_into().expect("a path"), RawCodec);
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")?;
    let first = tokio::time::timeout(PATIENCE, answer.into_inner().message()).await.expect("an answer in time");
    first.map(|_| ())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_largest_message_of_each_shape_costs_next_to_nothing_when_it_is_refused() {
    let server = Server::start();
    let channel = Endpoint::from_shared(server.url.clone()).expect("a URL").connect().await.expect("it listens");
    let sets = [
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let pools = sets.map(|set| DescriptorPool::decode(set).expect("descriptors"));
    let services: Vec<_> = pools.iter().flat_map(DescriptorPool::services).collect();
    let methods: Vec<MethodDescriptor> =
        services.iter().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let (mut refused, mut worst, mut failures) = (0, (0, 0), Vec::new());
    for method in &methods {
        for bytes in SIZES {
            for (shape, message) in shapes(&method.input(), bytes, 0) {
                let message = Bytes::from(message);
                let mut best = (u64::MAX, u64::MAX);
                // A machine that is busy with other things is asked again.
                for _ in 0..3 {
                    let (ticks, kib) = (server.ticks(), server.reset_peak());
                    if call(&channel, method, message.clone()).await.is_ok() {
                        best = (0, 0);
                        break;
                    }
                    refused += 1;
                    best = best.min((server.ticks() - ticks, server.kib("VmHWM").saturating_sub(kib)));
                    if best.0 <= CPU_TICKS_MAX && best.1 <= MEMORY_KIB_MAX {
                        break;
                    }
                }
                worst = (worst.0.max(best.0), worst.1.max(best.1));
                if best.0 > CPU_TICKS_MAX || best.1 > MEMORY_KIB_MAX {
                    failures.push(format!("{} {shape}: {} ms, {} KiB", method.full_name(), best.0 * 10, best.1));
                }
            }
        }
    }
    println!(
        "{refused} refused messages of {} methods; at most {} ms of CPU and {} KiB",
        methods.len(),
        worst.0 * 10,
        worst.1
    );
    assert!(refused > 500, "{refused}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
