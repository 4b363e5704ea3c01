//! The accelerated implementation of a network, next to the one in burn's operations.

use std::fmt;
use std::sync::OnceLock;

/// An implementation `P` of a network's passes on vendor libraries, if the device and the weights allow one.
///
/// It holds addresses of the network's weights, so it is built at the first use: until then burn may move them.
pub(crate) struct Accelerated<P: ?Sized>(OnceLock<Option<Box<P>>>);

impl<P: ?Sized> Accelerated<P> {
    /// An implementation that is built at its first use.
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Without an accelerated implementation.
    pub(crate) fn none() -> Self {
        Self(OnceLock::from(None))
    }

    /// The implementation. The first call builds it.
    pub(crate) fn get_or_build(&self, build: impl FnOnce() -> Option<Box<P>>) -> Option<&P> {
        self.0.get_or_init(build).as_deref()
    }

    /// Drops an implementation whose addresses are no longer those of the weights; the next use builds another.
    pub(crate) fn rebuild(&mut self) {
        if self.built().is_some() {
            *self = Self::new();
        }
    }

    /// The implementation, if it was built.
    pub(crate) fn built(&self) -> Option<&P> {
        self.0.get()?.as_deref()
    }
}

impl<P: ?Sized> From<Box<P>> for Accelerated<P> {
    fn from(built: Box<P>) -> Self {
        Self(OnceLock::from(Some(built)))
    }
}

impl<P: ?Sized> fmt::Debug for Accelerated<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Accelerated").field(&self.0.get().map(Option::is_some)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_built_once() {
        let calls = std::cell::Cell::new(0);
        let accelerated = Accelerated::<u8>::new();
        let build = |value: Option<u8>| {
            accelerated.get_or_build(|| {
                calls.set(calls.get() + 1);
                value.map(Box::new)
            })
        };
        assert_eq!(accelerated.built(), None);
        assert_eq!([build(Some(1)), build(Some(2)), build(None)], [Some(&1); 3]);
        assert_eq!(accelerated.built(), Some(&1));
        assert_eq!(calls.get(), 1);
        let mut accelerated = accelerated;
        accelerated.rebuild();
        assert_eq!(accelerated.get_or_build(|| Some(Box::new(5))), Some(&5));
        let mut none = Accelerated::<u8>::none();
        none.rebuild();
        assert_eq!(none.get_or_build(|| Some(Box::new(1))), None);
        assert_eq!(Accelerated::from(Box::new(3_u8)).get_or_build(|| None), Some(&3));
    }
}
