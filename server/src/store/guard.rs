//! Converts panics of the database to errors: redb panics on pages with unexpected contents.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs [`caught`].
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// The message of the last caught panic.
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `work`; a panic in it becomes an error with its message and place, and is not printed.
///
/// # Errors
///
/// The message of the panic.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match CATCHING.get() {
            true => MESSAGE.set(describe(panic)),
            false => print(panic),
        }));
    });
    let outer = CATCHING.replace(true);
    // State that `work` left incomplete is not used again: the caller closes the database.
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    done.map_err(|_| MESSAGE.take())
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("{message} ({}:{})", place.file().rsplit('/').next().unwrap_or_default(), place.line()),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message_and_place() {
        assert_eq!(caught(|| 7), Ok(7));
        let error = caught(|| panic!("page {} is wrong", 3)).expect_err("it panics");
        assert!(error.starts_with("page 3 is wrong (guard.rs:"), "{error}");
        let nested = caught(|| caught(|| panic!("inner")).is_err()).expect("the outer one continues");
        assert!(nested);
    }
}
