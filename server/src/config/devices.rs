//! [`DevicesChoice`]: the devices that jobs are drawn on.

use std::fmt::{self, Display};
use std::str::FromStr;

use sakuga_model_core::DeviceChoice;

/// The most devices of one server.
const DEVICES_MAX: usize = 64;

/// The devices that jobs are drawn on, each by an engine of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevicesChoice {
    /// Every GPU; the CPU only in a program that has no GPU code at all.
    All,
    /// These, in this order. A GPU is listed once; engines on the CPU share its cores evenly.
    List(Vec<DeviceChoice>),
}

impl Default for DevicesChoice {
    fn default() -> Self {
        Self::List(vec![DeviceChoice::Auto])
    }
}

impl FromStr for DevicesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let read = text.split(',').map(|part| part.parse::<DeviceChoice>().map_err(|_| form(part)));
        let list: Vec<DeviceChoice> = read.collect::<Result<_, _>>()?;
        let is_repeated =
            |(place, device): (usize, &DeviceChoice)| *device != DeviceChoice::Cpu && list[..place].contains(device);
        if let Some((_, device)) = list.iter().enumerate().find(|each| is_repeated(*each)) {
            return Err(format!("has `{device}` twice; one engine draws on a GPU"));
        }
        if list.len() > 1 && list.contains(&DeviceChoice::Auto) {
            return Err("has `auto` among others; name every device, or write `all` for every GPU".into());
        }
        if list.len() > DEVICES_MAX {
            return Err(format!("has {} devices; at most {DEVICES_MAX} can be given", list.len()));
        }
        Ok(Self::List(list))
    }
}

fn form(part: &str) -> String {
    let list = "`auto`, `all`, or a list of `cpu` and `cuda:N` with N counted from 0, such as `cuda:0,cuda:1`";
    match part.trim().strip_prefix("cpu:").map(str::parse::<usize>) {
        Some(Ok(count @ 1..=DEVICES_MAX)) => {
            let engines = vec!["cpu"; count].join(",");
            format!("is not a list of devices; for {count} engines on the CPU write `{engines}`")
        }
        _ => format!("is not a list of devices; write {list}"),
    }
}

impl Display for DevicesChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::List(list) => {
                let names: Vec<String> = list.iter().map(DeviceChoice::to_string).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_devices_are_read_and_written() {
        for text in ["all", "auto", "cpu", "cpu,cpu", "cuda:0", "cuda:1,cuda:0", "cuda:0,cpu"] {
            assert_eq!(text.parse::<DevicesChoice>().map(|devices| devices.to_string()).as_deref(), Ok(text));
        }
        assert_eq!(
            "CUDA:0, cuda:1".parse::<DevicesChoice>().map(|list| list.to_string()).as_deref(),
            Ok("cuda:0,cuda:1")
        );
    }

    #[test]
    fn what_is_no_list_of_devices_is_refused_with_what_to_write() {
        for (text, part) in [
            ("gpu", "cuda:0,cuda:1"),
            ("", "`auto`"),
            ("cuda:0,", "cuda:0,cuda:1"),
            ("all,cpu", "`all`"),
            ("cuda:0,cuda:0", "`cuda:0` twice"),
            ("cuda:0,cpu,CUDA:00", "`cuda:0` twice"),
            ("auto,cpu", "`auto` among others"),
            ("cpu:2", "write `cpu,cpu`"),
        ] {
            let refused = text.parse::<DevicesChoice>().expect_err(text);
            assert!(refused.contains(part), "{text}: {refused}");
        }
        assert!(vec!["cpu"; DEVICES_MAX + 1].join(",").parse::<DevicesChoice>().is_err());
    }
}
