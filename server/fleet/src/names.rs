//! [`Names`]: the names of streams, buckets and subjects.

use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};

use crate::error::FleetError;

/// Longest name of a fleet.
const FLEET_MAX: usize = 32;
/// Longest text, in bytes, that its token spells.
const TOKEN_TEXT_MAX: usize = 128;

/// The names of streams, buckets and subjects of one fleet. Several fleets may use the same cluster of NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    fleet: String,
}

impl Names {
    /// The names of the fleet that is called `fleet`.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`] unless it consists of 1 to 32 lowercase letters, digits and hyphens.
    pub fn new(fleet: &str) -> Result<Self, FleetError> {
        let is_plain =
            |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
        if fleet.is_empty() || fleet.len() > FLEET_MAX || !fleet.chars().all(is_plain) {
            return Err(FleetError::Settings(format!(
                "`{fleet}` cannot name a fleet; use 1 to {FLEET_MAX} lowercase letters, digits and hyphens"
            )));
        }
        Ok(Self { fleet: fleet.to_owned() })
    }

    /// The stream of events, one subject for each job.
    pub fn events(&self) -> String {
        format!("{}-events", self.fleet)
    }

    /// The subject of a job's events.
    pub fn events_of(&self, job: &str) -> String {
        format!("{}.events.{}", self.fleet, token(job))
    }

    /// The work queue.
    pub fn work(&self) -> String {
        format!("{}-work", self.fleet)
    }

    /// The subject of work for a model in a priority class.
    pub fn work_for(&self, model: &str, class: &str) -> String {
        format!("{}.work.{}.{}", self.fleet, token(model), token(class))
    }

    /// The stream of jobs whose workers died too often.
    pub fn dead(&self) -> String {
        format!("{}-dead", self.fleet)
    }

    /// The subject of one such job.
    pub fn dead_of(&self, job: &str) -> String {
        format!("{}.dead.{}", self.fleet, token(job))
    }

    /// The bucket of job records.
    pub fn records(&self) -> String {
        format!("{}-records", self.fleet)
    }

    /// The bucket of names that calls gave to their jobs.
    pub fn claims(&self) -> String {
        format!("{}-claims", self.fleet)
    }

    /// The bucket of leases.
    pub fn leases(&self) -> String {
        format!("{}-leases", self.fleet)
    }

    /// The bucket of the workers that are alive.
    pub fn presence(&self) -> String {
        format!("{}-presence", self.fleet)
    }

    /// The bucket of the newest previews.
    pub fn previews(&self) -> String {
        format!("{}-previews", self.fleet)
    }

    /// The core subject of a job's previews and samples.
    pub fn live_of(&self, job: &str) -> String {
        format!("{}.live.{}", self.fleet, token(job))
    }

    /// The core subject on which the worker of a job is asked to cancel it.
    pub fn cancel_of(&self, job: &str) -> String {
        format!("{}.cancel.{}", self.fleet, token(job))
    }

    /// The core subject on which a worker with a free device asks for a job.
    pub fn ask(&self) -> String {
        format!("{}.ask", self.fleet)
    }

    /// The core subject of calls that any worker answers.
    pub fn call_any(&self) -> String {
        format!("{}.call.any", self.fleet)
    }

    /// The core subject of calls that a worker with this model answers.
    pub fn call_of(&self, model: &str) -> String {
        format!("{}.call.model.{}", self.fleet, token(model))
    }

    /// The core subject on which gateways with readers of a job say so.
    pub fn watched_of(&self, job: &str) -> String {
        format!("{}.watched.{}", self.fleet, token(job))
    }

    /// The prefix of reply subjects of a role, so that one role cannot read the answers to another.
    pub fn inbox(&self, role: &str) -> String {
        format!("_INBOX_{}_{role}", self.fleet)
    }

    /// All subjects with this second word.
    pub(crate) fn all(&self, kind: &str) -> String {
        format!("{}.{kind}.>", self.fleet)
    }
}

/// A text as one token of a subject or key: letters, digits and hyphens stay, every other byte becomes `_` and two hexadecimal
/// digits, so that different texts have different tokens. A long text becomes `_h` and its hash: a server closes the connection of
/// a client that sends a subject of more than 4 KiB.
pub fn token(text: &str) -> String {
    if text.len() > TOKEN_TEXT_MAX {
        return format!("_h{}", hex(&Sha256::digest(text)));
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => token.push(byte.into()),
            _ => token.push_str(&format!("_{byte:02x}")),
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_have_short_tokens_that_differ() {
        let (one, two) = ("é".repeat(1 << 20), "é".repeat((1 << 20) + 1));
        assert!(token(&one).len() < 100 && token(&one) != token(&two));
        assert_eq!(token(&"a".repeat(TOKEN_TEXT_MAX)), "a".repeat(TOKEN_TEXT_MAX));
    }

    #[test]
    fn no_text_adds_a_token_or_a_wildcard_to_a_subject() {
        let names = Names::new("studio-1").expect("a name");
        for hostile in ["a.b", "*", ">", "a b", "é", "", "a_2eb"] {
            let subject = names.work_for(hostile, "normal");
            assert_eq!(subject.split('.').count(), 4, "{subject}");
            assert!(subject.is_ascii() && !subject.contains(['*', '>', ' ']), "{subject}");
        }
        assert_ne!(token("a.b"), token("a_2eb"), "different texts have different tokens");
        assert_eq!(token("0198c5a2-7d3e"), "0198c5a2-7d3e", "ids of jobs stay readable");
    }

    #[test]
    fn the_name_of_a_fleet_is_one_plain_word() {
        for refused in ["", "A", "a.b", "a b", &"a".repeat(33)] {
            assert!(matches!(Names::new(refused), Err(FleetError::Settings(_))), "{refused}");
        }
    }
}
