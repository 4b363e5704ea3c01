//! Building blocks of settings. A setting is stated once, as a field with clap's attributes: its documentation is the
//! help and the comment of the example file, its default and its parser are next to it. [`crate::config`] puts them
//! together and reads flags, environment and file.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, Command};

/// A bound that 0 turns off. clap reads a plain `Option` as an argument that may be missing, and this alias as a value.
pub(crate) type Bound<T> = Option<T>;

/// The settings of a group without any flag, variable or file.
///
/// # Panics
///
/// If a default is not valid, which the tests of every group rule out.
pub(crate) fn defaults<T: Args>() -> T {
    let matches = T::augment_args(Command::new("defaults")).get_matches_from(["defaults"]);
    T::from_arg_matches(&matches).expect("every default is valid")
}

/// A whole number within a range.
pub(crate) fn number<T>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + 'static,
{
    move |text| {
        let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
        let number: u64 = text.trim().parse().map_err(|_| format!("is not a whole number; {remedy}"))?;
        let number = Some(number).filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("is out of range; {remedy}"))
    }
}

/// A whole number of MiB within a range, as bytes.
pub(crate) fn mebibytes(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    let number = number::<usize>(range);
    move |text| number(text).map(|mebibytes| mebibytes.saturating_mul(1 << 20))
}

/// A whole number of seconds within a range.
pub(crate) fn seconds(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    let number = number::<u64>(range);
    move |text| number(text).map(Duration::from_secs)
}

/// A bound in seconds; 0 turns it off.
pub(crate) fn seconds_bound(text: &str) -> Result<Bound<Duration>, String> {
    let seconds = number::<u64>(0..=1_000_000)(text)?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// A bound in MiB, as bytes; 0 turns it off.
pub(crate) fn mebibytes_bound(text: &str) -> Result<Bound<u64>, String> {
    let mebibytes = number::<u64>(0..=1 << 40)(text)?;
    Ok((mebibytes > 0).then_some(mebibytes << 20))
}

/// An amount of memory, as bytes, such as `24GiB` or `800MiB`.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let remedy = "write a whole number of KiB, MiB, GiB or TiB, such as 24GiB";
    let text = text.trim();
    let found = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = found.ok_or_else(|| format!("is not an amount of memory; {remedy}"))?;
    let count: u64 = digits.trim_end().parse().map_err(|_| format!("is not an amount of memory; {remedy}"))?;
    count.checked_mul(1 << shift).ok_or_else(|| format!("is more than any memory has; {remedy}"))
}

/// An address and a port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    read(text, "is not an address with a port; write such as 127.0.0.1:50051")
}

/// Parses a value by `FromStr` of its type.
pub(crate) fn read<T: std::str::FromStr>(text: &str, otherwise: impl Display) -> Result<T, String> {
    text.trim().parse().map_err(|_| otherwise.to_string())
}

/// Whether only this machine can reach the address. An IPv4 address within IPv6 (`::ffff:127.0.0.1`) counts as the
/// IPv4 address.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_range() {
        let read = number::<u32>(1..=16);
        assert_eq!((read("1"), read(" 16 ")), (Ok(1), Ok(16)));
        for (text, reason) in
            [("0", "out of range"), ("17", "out of range"), ("x", "not a whole number"), ("-1", "not")]
        {
            let refused = read(text).expect_err("not a number of the range");
            assert!(refused.contains(reason) && refused.contains("from 1 to 16"), "{text}: {refused}");
        }
        assert!(number::<u8>(0..=1000)("256").is_err(), "more than the type holds");
    }

    #[test]
    fn zero_turns_a_bound_off() {
        assert_eq!((seconds_bound("0"), seconds_bound("2")), (Ok(None), Ok(Some(Duration::from_secs(2)))));
        assert_eq!((mebibytes_bound("0"), mebibytes_bound("3")), (Ok(None), Ok(Some(3 << 20))));
    }

    #[test]
    fn an_amount_of_memory_has_a_unit() {
        assert_eq!((memory("24GiB"), memory(" 800 MiB ")), (Ok(24 << 30), Ok(800 << 20)));
        assert_eq!((memory("0GiB"), memory("3KiB"), memory("1TiB")), (Ok(0), Ok(3 << 10), Ok(1 << 40)));
        for text in ["", "24", "24GB", "GiB", "-1GiB", "1.5GiB", "99999999999TiB"] {
            let refused = memory(text).expect_err("not an amount");
            assert!(refused.contains("such as 24GiB"), "{text}: {refused}");
        }
    }

    #[test]
    fn ipv4_within_ipv6_is_what_it_stands_for() {
        for (address, expected) in
            [("127.0.0.2", true), ("::1", true), ("::ffff:127.0.0.1", true), ("::ffff:10.0.0.1", false), ("::", false)]
        {
            assert_eq!(is_loopback(address.parse().expect("an address")), expected, "{address}");
        }
    }
}
