//! The commands that need no server, run as a user runs them.

#[path = "../support.rs"]
mod support;

mod files;
mod fmt;
mod import;
mod misc;
mod show;
mod validate;

/// A prompt without findings.
pub const GOOD: &str = "\
<character_1>
<n></n>
<gender>1girl</gender>
<appearance>long_hair, blue_eyes</appearance>
</character_1>

<general_tags>
<count>1girl</count>
<other>smile, >_&lt;</other>
</general_tags>
";

/// A prompt that is an error in both modes: the gender is missing.
pub const NO_GENDER: &str = "<character_1>\n<n>fox</n>\n<appearance>long_hair</appearance>\n</character_1>\n";
