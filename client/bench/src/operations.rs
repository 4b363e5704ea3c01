//! Device times of operations, summed over the layers of a network.

use std::collections::HashMap;

use sakuga_proto::generation::v1::ProfileSpan;

/// One operation in one layer.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The name of the network, such as `next_dit`.
    pub network: &'a str,
    /// The operation.
    pub name: &'a str,
    /// How often it ran.
    pub count: u32,
    /// Time on the device, in milliseconds.
    pub ms: f64,
    /// Floating-point operations; 0 if unknown.
    pub flops: f64,
    /// Bytes that must at least be read and written; 0 if unknown.
    pub bytes: f64,
}

impl<'a> From<&'a ProfileSpan> for Span<'a> {
    fn from(span: &'a ProfileSpan) -> Self {
        let ProfileSpan { ref network, ref name, count, ms, flops, bytes, layer: _ } = *span;
        Self { network, name, count, ms, flops, bytes }
    }
}

/// One operation in all layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Network and name.
    pub name: String,
    /// How often it ran.
    pub count: u64,
    /// Time on the device, in milliseconds.
    pub ms: f64,
    /// Floating-point operations; 0 if unknown.
    pub flops: f64,
    /// Bytes that must at least be read and written; 0 if unknown.
    pub bytes: f64,
}

/// The operations by network and name, the longest first; equal ones in the order of their first appearance.
pub fn summed<'a>(spans: impl IntoIterator<Item = impl Into<Span<'a>>>) -> Vec<Operation> {
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut operations: Vec<Operation> = Vec::new();
    for span in spans {
        let Span { network, name, count, ms, flops, bytes } = span.into();
        let place = *places.entry((network, name)).or_insert_with(|| {
            operations.push(Operation { name: format!("{network} {name}"), ..Operation::default() });
            operations.len() - 1
        });
        let operation = &mut operations[place];
        operation.count += u64::from(count);
        operation.ms += ms;
        operation.flops += flops;
        operation.bytes += bytes;
    }
    operations.sort_by(|one, other| other.ms.total_cmp(&one.ms));
    operations
}
