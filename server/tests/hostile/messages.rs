//! Arbitrary messages, generated from their descriptors, so that additions to the API are covered.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use prost::Message as _;
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// Messages within messages, at the most.
const DEPTH_MAX: usize = 5;

/// Any message of a type, as bytes. `texts` are those that mean something to the server, such as names of its jobs, and
/// `good` is a message of the type that the server accepts: behind it, fields replace its own.
pub(crate) fn any_bytes(descriptor: &MessageDescriptor, texts: &[String], good: Vec<Vec<u8>>) -> BoxedStrategy<Bytes> {
    let fields = any_message(descriptor, texts, DEPTH_MAX).prop_map(|message| message.encode_to_vec());
    let good = if good.is_empty() { vec![Vec::new()] } else { good };
    let base = prop_oneof![2 => prop::sample::select(good), 1 => Just(Vec::new())];
    let whole = (base, fields).prop_map(|(base, fields)| [base, fields].concat());
    let damaged = (whole.clone(), vec(damage(), 1..4)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    });
    prop_oneof![3 => whole, 1 => damaged].prop_map(Bytes::from).boxed()
}

/// Damage to bytes on their way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    /// A field that no message has, in each way in which one can be written.
    Unknown(u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, mask)| Damage::Flip(place, mask)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<prop::sample::Index>(), vec(any::<u8>(), 1..9)).prop_map(|(place, bytes)| Damage::Insert(place, bytes)),
        (0..8_u8).prop_map(Damage::Unknown),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(place, mask) if !bytes.is_empty() => {
                let place = place.index(bytes.len());
                bytes[place] ^= mask;
            }
            Self::Flip(..) => {}
            Self::Cut(place) => bytes.truncate(place.index(bytes.len() + 1)),
            Self::Insert(place, inserted) => {
                let place = place.index(bytes.len() + 1);
                bytes.splice(place..place, inserted.iter().copied());
            }
            Self::Unknown(wire_type) => {
                // Field 9999, then something that is one or the other.
                bytes.extend([0xf8 | wire_type, 0xf0, 0x04, 0x03, 1, 2, 3, 4, 5, 6, 7, 8]);
            }
        }
    }
}

fn any_message(descriptor: &MessageDescriptor, texts: &[String], depth: usize) -> BoxedStrategy<DynamicMessage> {
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    let values: Vec<BoxedStrategy<Option<Value>>> = fields.iter().map(|field| any_field(field, texts, depth)).collect();
    let descriptor = descriptor.clone();
    values
        .prop_map(move |values| {
            let mut message = DynamicMessage::new(descriptor.clone());
            // Of the fields of a oneof the last one stays.
            for (field, value) in fields.iter().zip(values) {
                if let Some(value) = value {
                    message.set_field(field, value);
                }
            }
            message
        })
        .boxed()
}

fn any_field(field: &FieldDescriptor, texts: &[String], depth: usize) -> BoxedStrategy<Option<Value>> {
    if depth == 0 && matches!(field.kind(), Kind::Message(_)) {
        return Just(None).boxed();
    }
    let value = if field.is_map() {
        any_map(field, texts, depth)
    } else if field.is_list() {
        vec(any_value(&field.kind(), texts, depth), 0..4).prop_map(Value::List).boxed()
    } else {
        any_value(&field.kind(), texts, depth)
    };
    prop_oneof![2 => Just(None), 1 => value.prop_map(Some)].boxed()
}

fn any_map(field: &FieldDescriptor, texts: &[String], depth: usize) -> BoxedStrategy<Value> {
    let Kind::Message(entry) = field.kind() else { panic!("a map has entries") };
    let value = any_value(&entry.map_entry_value_field().kind(), texts, depth);
    let key = any_value(&entry.map_entry_key_field().kind(), texts, depth);
    let key = key.prop_map(|key| match key {
        Value::Bool(key) => MapKey::Bool(key),
        Value::I32(key) => MapKey::I32(key),
        Value::I64(key) => MapKey::I64(key),
        Value::U32(key) => MapKey::U32(key),
        Value::U64(key) => MapKey::U64(key),
        Value::String(key) => MapKey::String(key),
        other => panic!("{other:?} is not a key"),
    });
    vec((key, value), 0..4).prop_map(|entries| Value::Map(entries.into_iter().collect())).boxed()
}

fn any_value(kind: &Kind, texts: &[String], depth: usize) -> BoxedStrategy<Value> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => any_whole(i32::MIN, i32::MAX).prop_map(Value::I32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => any_whole(i64::MIN, i64::MAX).prop_map(Value::I64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => any_whole(u32::MIN, u32::MAX).prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => any_whole(u64::MIN, u64::MAX).prop_map(Value::U64).boxed(),
        Kind::Float => any_real().prop_map(|real| Value::F32(real as f32)).boxed(),
        Kind::Double => any_real().prop_map(Value::F64).boxed(),
        Kind::String => any_text(texts).prop_map(Value::String).boxed(),
        Kind::Bytes => vec(any::<u8>(), 0..64).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Kind::Enum(descriptor) => any_number(descriptor).prop_map(Value::EnumNumber).boxed(),
        Kind::Message(descriptor) => any_message(descriptor, texts, depth - 1).prop_map(Value::Message).boxed(),
    }
}

/// Numbers at the ends, numbers that make sense somewhere, and any.
fn any_whole<T>(least: T, most: T) -> BoxedStrategy<T>
where
    T: Arbitrary + Clone + From<u8> + TryFrom<u32> + 'static,
{
    let sensible = [64, 100, 200, 256, 1000, 4096, 65_535].map(|number: u32| T::try_from(number).ok());
    let sensible: Vec<T> = sensible.into_iter().flatten().collect();
    prop_oneof![
        1 => Just(least),
        1 => Just(most),
        3 => (0..33_u8).prop_map(T::from),
        2 => prop::sample::select(sensible),
        2 => any::<T>(),
    ]
    .boxed()
}

fn any_real() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::sample::select(vec![
            0.0,
            -0.0,
            0.5,
            1.0,
            4.5,
            -1.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX
        ]),
        prop::num::f64::ANY,
    ]
}

fn any_number(descriptor: &EnumDescriptor) -> impl Strategy<Value = i32> + use<> {
    let known: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
    prop_oneof![3 => prop::sample::select(known), 1 => any_whole(i32::MIN, i32::MAX)]
}

/// Texts that mean something, are long, or hold anything.
fn any_text(texts: &[String]) -> BoxedStrategy<String> {
    const PIECES: &[&str] = &[
        "<character_1>",
        "</character_1>",
        "<n>rem</n>",
        "<gender>1girl</gender>",
        "<general_tags>",
        "</general_tags>",
        "<caption>",
        "</caption>",
        "<![CDATA[",
        "&amp;",
        "&#0;",
        "<!--",
        "{\"xml\":",
        "1girl, blue_hair",
        "\u{202e}",
        "\0",
        "初音ミク",
        "-",
        ",,",
        "\u{feff}",
    ];
    let pieces = vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat());
    let long = (prop::sample::select(PIECES), 0..20_000_usize).prop_map(|(piece, times)| piece.repeat(times));
    let mut choices = vec![(4, pieces.boxed()), (2, any::<String>().boxed()), (1, Just(String::new()).boxed())];
    choices.push((1, prop_oneof![30 => Just("x".repeat(300)), 1 => long].boxed()));
    if !texts.is_empty() {
        choices.push((4, prop::sample::select(texts.to_vec()).boxed()));
    }
    Union::new_weighted(choices).boxed()
}
