//! The samples of a comparison as JSON: the record of each system, how it was loaded, and its texts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::record::{self, Record, StatsSample};

/// Name and version of the format. A reader of another version refuses the file.
const FORMAT: &str = "sakuga-article/1";

/// One of the two systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// NewBie-image.
    Newbie,
    /// Stable Diffusion XL.
    Sd,
}

impl System {
    /// Both, in the order of the page.
    pub const ALL: [Self; 2] = [Self::Newbie, Self::Sd];

    /// The name on the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Newbie => "NewBie",
            Self::Sd => "SD-Anime",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.title())
    }
}

/// Which system a record is of: Stable Diffusion XL has a U-Net.
pub fn system_of(record: &Record) -> System {
    if record.system.parameters.contains_key("unet") { System::Sd } else { System::Newbie }
}

/// Both systems, measured by one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Always [`FORMAT`].
    format: String,
    /// The command that made it.
    pub command: String,
    /// NewBie.
    pub newbie: Measured,
    /// Stable Diffusion XL.
    pub sd: Measured,
}

/// One system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its pictures.
    pub record: Record,
    /// How it was loaded; absent if that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Why loading was not measured; empty if it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub no_load: String,
    /// Texts of each case that the encoders had not read before.
    #[serde(default)]
    pub texts: Vec<FormText>,
}

/// A model that was not in memory was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// From the call to its answer.
    pub ms: f64,
    /// Bytes of its weights on the device.
    pub weight_bytes: u64,
    /// Samples of the device, from the call on.
    #[serde(default)]
    pub stats: Vec<StatsSample>,
}

/// One text through the encoders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormText {
    /// The name of its case.
    pub case: String,
    /// Time of the text encoders.
    pub ms: f64,
}

impl Comparison {
    /// A comparison of two systems, whose numbers are checked and whose texts are made safe to print.
    ///
    /// # Errors
    ///
    /// [`BenchError::Value`] for a number that no measurement can give.
    pub fn new(command: String, newbie: Measured, sd: Measured) -> Result<Self, BenchError> {
        let comparison = Self { format: FORMAT.to_owned(), command, newbie, sd };
        Self::parse(&comparison.to_json()?)
    }

    /// Reads a comparison. Its texts are made safe to print.
    ///
    /// # Errors
    ///
    /// [`BenchError::NotARecord`], [`BenchError::Version`] or [`BenchError::Value`].
    pub fn parse(json: &[u8]) -> Result<Self, BenchError> {
        let comparison: Self = record::parse(json, FORMAT)?;
        for measured in [&comparison.newbie, &comparison.sd] {
            measured.record.checked_format()?;
        }
        Ok(comparison)
    }

    /// The comparison as a line of JSON.
    ///
    /// # Errors
    ///
    /// [`BenchError::Value`] if it cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, BenchError> {
        record::to_line(self)
    }

    /// The measurement of a system.
    pub fn of(&self, system: System) -> &Measured {
        match system {
            System::Newbie => &self.newbie,
            System::Sd => &self.sd,
        }
    }
}
