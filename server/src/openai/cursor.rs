//! [`Cursor`]: the position and the format of an event stream. It is the `id` of each event and returns as `Last-Event-ID`, so the
//! server keeps no state for streams that resume.

use std::fmt;
use std::str::FromStr;

use super::drawing::Endpoint;
use super::output::{Format, Output};
use super::partials::PARTIALS_MAX;

/// The format of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presentation {
    pub(super) endpoint: Endpoint,
    /// Partial pictures of each picture.
    pub(super) partials: u32,
    pub(super) output: Output,
}

/// The position after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The number of the job's event that it was made from.
    pub(super) sequence: u64,
    /// Pictures that were sent of that event, which is the last one if this is not 0.
    pub(super) pictures: u32,
    pub(super) presentation: Presentation,
}

impl Cursor {
    /// The number of the job's event to go on with.
    pub(super) fn start(self) -> u64 {
        if self.pictures > 0 { self.sequence } else { self.sequence.saturating_add(1) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, pictures, presentation: Presentation { endpoint, partials, output } } = self;
        let kind = match endpoint {
            Endpoint::Generations => "generation",
            Endpoint::Edits => "edit",
        };
        let Output { format, compression } = output;
        write!(formatter, "{sequence}.{pictures}.{kind}.{partials}.{}.{compression}", format.name())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split('.').collect();
        let [sequence, pictures, kind, partials, format, compression] = parts[..] else { return Err(()) };
        let endpoint = match kind {
            "generation" => Endpoint::Generations,
            "edit" => Endpoint::Edits,
            _ => return Err(()),
        };
        let partials = number::<u32>(partials)?;
        let output = Output { format: Format::named(format).ok_or(())?, compression: number(compression)? };
        if partials > PARTIALS_MAX || output.compression > 100 {
            return Err(());
        }
        let presentation = Presentation { endpoint, partials, output };
        Ok(Self { sequence: number(sequence)?, pictures: number(pictures)?, presentation })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, ()> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().map_err(|_| ()) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for (endpoint, format) in [(Endpoint::Generations, Format::Png), (Endpoint::Edits, Format::Jpeg)] {
            let presentation = Presentation { endpoint, partials: 3, output: Output { format, compression: 90 } };
            let cursor = Cursor { sequence: u64::MAX, pictures: 2, presentation };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        assert_eq!("41.0.generation.2.png.100".parse().map(Cursor::start), Ok(42));
        assert_eq!("41.1.generation.2.png.100".parse().map(Cursor::start), Ok(41));
    }

    #[test]
    fn anything_else_is_no_cursor() {
        for text in [
            "",
            "41",
            "+1.0.generation.2.png.100",
            "1.0.generation.4.png.100",
            "1.0.generation.2.png.101",
            "1.0.generation.2.gif.100",
            "1.0.x.2.png.100",
            "1.0.generation.2.png.100.0",
            "99999999999999999999.0.generation.2.png.100",
            "../../etc/passwd.....",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
