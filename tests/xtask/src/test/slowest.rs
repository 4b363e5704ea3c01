//! The time of each test, and the slowest of them.
//!
//! libtest prints times only with `-Z unstable-options`, which a stable toolchain takes when [`UNSTABLE`] is set. Were it set for
//! Cargo, build scripts that look at it would compile the workspace for a nightly toolchain, so it is set for test programs alone.

use std::fmt::Write as _;

/// The variable with which a test program accepts [`ARGUMENTS`].
pub(crate) const UNSTABLE: &str = "RUSTC_BOOTSTRAP";

/// Arguments that make a test program report the time of each test.
pub(crate) const ARGUMENTS: [&str; 3] = ["-Z", "unstable-options", "--report-time"];

/// How many tests are shown.
const SHOWN: usize = 10;

/// The beginning of the line before a program's output.
const PROGRAM: &str = "test program: ";

/// A test and how long it took.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timed {
    /// Its program without folder and hash, and its name: `parity vae::decoder`.
    pub name: String,
    pub seconds: f64,
}

/// The line before the output of the program in this file.
pub(crate) fn heading(file_name: &str) -> String {
    format!("{PROGRAM}{file_name}\n")
}

/// The test program that a [`heading`] names, without its hash.
pub(crate) fn program(line: &str) -> Option<&str> {
    line.strip_prefix(PROGRAM).map(without_hash)
}

/// The name of a program's file without the hash that Cargo adds.
pub(crate) fn without_hash(file_name: &str) -> &str {
    file_name.rsplit_once('-').map_or(file_name, |(name, _)| name)
}

/// The tests in the output of test programs, in its order.
pub(crate) fn read(output: &str) -> Vec<Timed> {
    let mut program = "";
    let mut found = Vec::new();
    for line in output.lines() {
        if let Some(file) = self::program(line) {
            program = file;
        } else if let Some(timed) = line.strip_prefix("test ").and_then(|rest| of_line(program, rest)) {
            found.push(timed);
        }
    }
    found
}

/// `vae::decoder ... ok <1.250s>`
fn of_line(program: &str, rest: &str) -> Option<Timed> {
    let (name, result) = rest.split_once(" ... ")?;
    let (_, time) = result.rsplit_once(" <")?;
    let seconds = time.strip_suffix("s>")?.parse().ok()?;
    Some(Timed { name: format!("{program} {name}").trim_start().to_owned(), seconds })
}

/// The slowest tests, the slowest first.
pub(crate) fn render(mut tests: Vec<Timed>) -> String {
    tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut text = String::new();
    for Timed { name, seconds } in tests.iter().take(SHOWN) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{seconds:>8.1} s  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
test program: parity-5a8d2f31c0ffee00
running 3 tests
test vae::decoder ... ok <12.250s>
test pipeline ... FAILED <0.500s>
test without_time ... ok
test says ... ok <soon>
test program: sakuga_model-0123456789abcdef
test spec::tests::a - should panic ... ok <30.001s>
";

    #[test]
    fn tests_are_named_with_their_program() {
        let names: Vec<String> = read(OUTPUT).into_iter().map(|timed| timed.name).collect();
        assert_eq!(names, ["parity vae::decoder", "parity pipeline", "sakuga_model spec::tests::a - should panic"]);
    }

    #[test]
    fn the_slowest_come_first_and_ten_are_shown() {
        let text = render(read(OUTPUT));
        assert!(text.starts_with("    30.0 s  sakuga_model spec::tests::a"), "{text}");
        let many = (0..20).map(|seconds| Timed { name: "a".into(), seconds: f64::from(seconds) }).collect();
        assert_eq!(render(many).lines().count(), SHOWN);
    }
}
