//! The largest message of each shape, for each method: what is refused costs next to nothing.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::process::{self, ServerProcess};
use crate::raw::RawCodec;

/// Bytes of a message: as many as a public method, a method without a prompt and one with a prompt take, and many more.
const SIZES: [usize; 4] = [4 * 1024 - 64, 16 * 1024 - 64, 512 * 1024 - 64, 3 << 20];
/// Messages within messages.
const DEPTH_MAX: usize = 4;
/// CPU time of a refused message on the machine on which [`reference`] takes [`REFERENCE`].
const CPU_MAX: Duration = Duration::from_millis(50);
/// What [`reference`] takes on the machine of `tests/BENCHMARKS.md`, while nothing else runs there.
const REFERENCE: Duration = Duration::from_millis(10);
/// Attempts to stay within the bounds on a machine that is busy with other things.
const ATTEMPTS: usize = 5;
/// Messages whose cost is printed.
const SHOWN: usize = 20;
/// Memory of a refused message.
const MEMORY_KIB_MAX: u64 = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in its own process, whose CPU time and memory can be read.
pub(crate) struct Server(ServerProcess);

impl Server {
    /// Starts one whose steps take this long.
    pub(crate) fn start(step_ms: u64) -> Self {
        let step = format!("--scripted-step-ms={step_ms}");
        let flags = ["--engine=scripted", "--listen=127.0.0.1:0", "--queue-size=100000", &step];
        Self(ServerProcess::spawn(process::command(&flags).stderr(Stdio::null())))
    }

    /// A new connection.
    pub(crate) async fn channel(&self) -> Channel {
        self.0.channel().await
    }

    /// CPU time of its threads, those that have ended left out.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("the server runs");
        threads.filter_map(|thread| cpu_of(&thread.ok()?.path())).sum()
    }

    /// The peak of its memory in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.0.status_kib("VmHWM")
    }

    /// Sets the peak of the memory to what is in use, which is returned in KiB.
    pub(crate) fn reset_peak(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.0.id()), "5").expect("our own process");
        self.0.status_kib("VmRSS")
    }
}

/// The cost of a refused message.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: Duration,
    /// The CPU time on the machine of the bound.
    scaled: Duration,
    kib: u64,
}

impl Cost {
    fn least(self, other: Self) -> Self {
        Self { cpu: self.cpu.min(other.cpu), scaled: self.scaled.min(other.scaled), kib: self.kib.min(other.kib) }
    }

    fn is_within(self) -> bool {
        self.scaled <= CPU_MAX && self.kib <= MEMORY_KIB_MAX
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.1?}, which is {:.1?} on the machine of the bound, and {} KiB",
            self.cpu, self.scaled, self.kib
        )
    }
}

/// CPU time of a thread, by its folder in `/proc`; `None` if it has ended.
fn cpu_of(thread: &Path) -> Option<Duration> {
    let times = std::fs::read_to_string(thread.join("schedstat")).ok()?;
    times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// CPU time of a work like that of a message: many small pieces are decoded and indexed. A slower machine, and one whose cores
/// are shared with others, takes longer for both.
fn reference() -> Duration {
    let own = || {
        // The kernel adds up a thread's time when it rests.
        std::thread::sleep(Duration::from_millis(1));
        cpu_of(Path::new("/proc/thread-self")).expect("our own thread")
    };
    let before = own();
    for _ in 0..4 {
        std::hint::black_box(DescriptorPool::decode(sakuga_proto::FILE_DESCRIPTOR_SET).expect("descriptors"));
    }
    own() - before
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

/// Messages of about `bytes` bytes. Each has one field repeated as often, or as large, as possible.
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
    // The first job that is accepted takes longer than the test, and the others wait: none adds to what is measured.
    let server = Server::start(60_000);
    let channel = server.channel().await;
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
    let own: Vec<Duration> = (0..5).map(|_| reference()).collect();
    let fastest = *own.iter().min().expect("five");
    println!("the reference takes {fastest:.1?}, and {REFERENCE:?} on the machine of the bound");
    let (mut refused, mut costs, mut failures) = (0, Vec::new(), Vec::new());
    for method in &methods {
        for bytes in SIZES {
            for (shape, message) in shapes(&method.input(), bytes, 0) {
                let message = Bytes::from(message);
                let mut best = Cost { cpu: Duration::MAX, scaled: Duration::MAX, kib: u64::MAX };
                for _ in 0..ATTEMPTS {
                    let (cpu, kib) = (server.cpu(), server.reset_peak());
                    if call(&channel, method, message.clone()).await.is_ok() {
                        best = Cost::default();
                        break;
                    }
                    refused += 1;
                    let cpu = server.cpu().saturating_sub(cpu);
                    // The time that it would take on the other machine. The reference runs only if the message took
                    // long.
                    let now = if cpu > CPU_MAX { reference() } else { REFERENCE };
                    let scaled = cpu.mul_f64((REFERENCE.as_secs_f64() / now.as_secs_f64()).min(1.0));
                    best = best.least(Cost { cpu, scaled, kib: server.peak_kib().saturating_sub(kib) });
                    if best.is_within() {
                        break;
                    }
                }
                let name = format!("{} of {bytes} bytes, {shape}: {best}", method.full_name());
                if !best.is_within() {
                    failures.push(name.clone());
                }
                costs.push((best.cpu, best.kib, name));
            }
        }
    }
    costs.sort_by_key(|(cpu, ..)| std::cmp::Reverse(*cpu));
    for (_, _, name) in costs.iter().take(SHOWN) {
        println!("{name}");
    }
    println!(
        "{refused} refused messages of {} methods; at most {:.1?} of CPU and {} KiB",
        methods.len(),
        costs[0].0,
        costs.iter().map(|(_, kib, _)| *kib).max().expect("many")
    );
    assert!(refused > 500, "{refused}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
