//! `src/generated.rs` is what xsd-parser makes of `prompt.xsd` today.

mod support;

#[test]
fn the_generated_types_follow_the_xsd() {
    support::assert_up_to_date("src/generated.rs", include_str!(concat!(env!("OUT_DIR"), "/generated.rs")));
}
