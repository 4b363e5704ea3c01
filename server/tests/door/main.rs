//! The door from outside: who comes in, by what, and what the server says of itself to those who run it.

mod browsers;
mod certificates;
mod ending;
mod figures;
mod floods;
mod program;
mod support;
mod tokens;
