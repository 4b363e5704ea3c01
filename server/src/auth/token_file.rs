//! The token file: one token a line, as the hash of a secret that only its holder has.
//!
//! ```text
//! # name  scopes            hash                                     further words, in any order
//! alice   generate          sha256:9f86d081884c7d659a2feaa0c55ad015…  rate=60/min concurrent=4 expires=2027-01-01T00:00:00Z
//! grafana metrics           sha256:60303ae22b998861bce3b28f33eec1be…
//! ```
//!
//! The hash is a plain SHA-256. A slow hash protects passwords, which can be guessed; these secrets are 256 random bits,
//! which cannot, and a slow hash would only let anyone spend the server's time with wrong tokens.

use std::fmt::Write as _;
use std::time::SystemTime;

pub use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};

use super::access::Scopes;
use super::quota::QuotaLimits;

/// The beginning of every token, by which secret scanners recognise it.
pub const PREFIX: &str = "sakuga_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// The beginning of a hash in the file.
const HASH_PREFIX: &str = "sha256:";

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// The name of its holder, as logs and quotas show it.
    pub name: String,
    /// What a call with the token may do.
    pub scopes: Scopes,
    /// The SHA-256 of the token.
    pub hash: [u8; 32],
    /// What calls with this token may use at most.
    pub limits: QuotaLimits,
    /// When it expires.
    pub expires: Option<SystemTime>,
}

/// The hash of a token as it is presented.
pub fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// A new token.
///
/// # Errors
///
/// What the system says if it has no randomness.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret)?;
    Ok(format!("{PREFIX}{}", hex(&secret)))
}

/// Reads the file.
///
/// # Errors
///
/// Every line that cannot be read, with its number. The content of a line is not repeated: it may hold a secret that was
/// pasted in the wrong place.
pub fn parse(text: &str) -> Result<Vec<TokenEntry>, Vec<String>> {
    let mut entries: Vec<TokenEntry> = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_line(line) {
            Ok(entry) if entries.iter().any(|known| known.name == entry.name) => {
                problems.push(format!(
                    "line {}: there is a token `{}` already; names are unique",
                    index + 1,
                    entry.name
                ));
            }
            Ok(entry) if entries.iter().any(|known| known.hash == entry.hash) => {
                problems.push(format!("line {}: another line has the same hash; make a new token", index + 1));
            }
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(format!("line {}: {problem}", index + 1)),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

fn parse_line(line: &str) -> Result<TokenEntry, String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(scopes), Some(hash)) = (words.next(), words.next(), words.next()) else {
        return Err("a line has a name, scopes and a hash; `sakuga-server token new` prints one".into());
    };
    check_name(name)?;
    let scopes = scopes.parse().map_err(|_| "the second word is not a list of `generate`, `admin` and `metrics`")?;
    let hash = hash
        .strip_prefix(HASH_PREFIX)
        .and_then(unhex)
        .ok_or("the third word is not a hash; write `sha256:` and 64 hexadecimal digits, never the token itself")?;
    let mut entry = TokenEntry { name: name.into(), scopes, hash, limits: QuotaLimits::default(), expires: None };
    for word in words {
        let (key, value) = word.split_once('=').ok_or("the words behind the hash are `key=value`")?;
        match key {
            "rate" => {
                entry.limits.rate =
                    Some(value.parse().map_err(|_| "rate: write such as `10/s`, `60/min` or `1000/h`")?);
            }
            "concurrent" => {
                let calls = value.parse().ok().filter(|calls| *calls > 0);
                entry.limits.concurrent = Some(calls.ok_or("concurrent: write a whole number from 1")?);
            }
            "expires" => {
                entry.expires = Some(parse_time(value).ok_or("expires: write a time such as 2027-01-01T00:00:00Z")?)
            }
            _ => return Err("a word behind the hash is not one of `rate=`, `concurrent=` and `expires=`".into()),
        }
    }
    Ok(entry)
}

/// Whether a name can stand in the file and in a log.
///
/// # Errors
///
/// What a name has to be.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if name.starts_with(PREFIX) || name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
        return Err(format!(
            "a name has up to 64 letters, digits and any of `._-@`, and does not begin with `{PREFIX}`"
        ));
    }
    Ok(())
}

/// Reads a time as RFC 3339 has it.
pub fn parse_time(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(text.parse::<prost_types::Timestamp>().ok()?).ok()
}

impl TokenEntry {
    /// The line of the file.
    pub fn line(&self) -> String {
        let mut line = format!("{} {} {HASH_PREFIX}{}", self.name, self.scopes, hex(&self.hash));
        // Writing to a string does not fail.
        if let Some(rate) = self.limits.rate {
            let unit = match rate.per.as_secs() {
                1 => "s",
                60 => "min",
                _ => "h",
            };
            let _ = write!(line, " rate={}/{unit}", rate.calls);
        }
        if let Some(calls) = self.limits.concurrent {
            let _ = write!(line, " concurrent={calls}");
        }
        if let Some(expires) = self.expires {
            let _ = write!(line, " expires={}", prost_types::Timestamp::from(expires));
        }
        line
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let [high, low] = [digits[0], digits[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn a_line_is_read_as_it_is_written() {
        for line in [
            format!("alice generate {HASH}"),
            format!("ci-1@host generate,admin {HASH} rate=10/s"),
            format!("a.b metrics {HASH} rate=60/min concurrent=4 expires=2027-01-01T00:00:00Z"),
        ] {
            let entries = parse(&line).expect("a line");
            assert_eq!(entries[0].line(), line);
            assert_eq!(entries[0].hash, hash(b"test"));
        }
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        assert_eq!(parse("\n# alice generate\n   \n").expect("nothing"), []);
    }

    #[test]
    fn every_bad_line_is_named_by_its_number_and_never_repeated() {
        let secret = "sakuga_secret";
        let text = format!(
            "{secret}\nalice root {HASH}\nalice generate {secret}\nbob generate {HASH} {secret}\n\
             bob generate {HASH} rate={secret}\n{secret} generate {HASH}\nok generate {HASH}\nok metrics {HASH}\n\
             carol generate {HASH} expires=tomorrow\ndan generate {HASH}\nerin generate {HASH} concurrent=0\n"
        );
        let problems = parse(&text).expect_err("bad lines");
        let numbers: Vec<&str> = problems.iter().filter_map(|problem| problem.split(':').next()).collect();
        let expected = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11].map(|number| format!("line {number}"));
        assert_eq!(numbers, expected);
        assert!(problems.iter().all(|problem| !problem.contains(secret)), "{problems:?}");
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let [one, other] = [new_token().expect("randomness"), new_token().expect("randomness")];
        assert!(one.starts_with(PREFIX) && one.len() == PREFIX.len() + 2 * SECRET_BYTES);
        assert_ne!(one, other);
    }
}
