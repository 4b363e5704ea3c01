//! Writes the Rust types that `tests/oracle` includes: the configuration of xsd-parser, and one change of its model.

use xsd_parser::config::{Config, GeneratorFlags, OptimizerFlags, RendererFlags};
use xsd_parser::models::meta::{Base, ComplexMeta, ElementMetaVariant, MetaTypeVariant};
use xsd_parser::models::{IdentType, TypeIdent};
use xsd_parser::{MetaTypes, Module};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The two documents and their types, read through quick-xml.
///
/// Texts are plain strings; `tests/oracle/convert.rs` refuses the values that the XSD's patterns refuse.
pub(crate) fn config(config: Config) -> Config {
    let documents = ["prompt", "negative_prompt"].map(|name| (IdentType::Element, name));
    config
        .with_quick_xml_deserialize()
        .with_optimizer_flags(OptimizerFlags::USE_UNRESTRICTED_BASE_TYPE_SIMPLE | OptimizerFlags::RESOLVE_TYPEDEFS)
        .with_generate(documents)
        .with_generator_flags(GeneratorFlags::FLATTEN_STRUCT_CONTENT)
        .with_renderer_flags(RendererFlags::RENDER_DOCS)
        .with_derive(["Clone", "Debug", "PartialEq"])
}

/// Gives the sixteen `character_N` elements the type that they extend.
///
/// In the XSD each extends `Character` by attributes with fixed values; sixteen types would be sixteen copies of the same
/// reader. `tests/oracle/events.rs` compares the attributes with the grammar's tables before the readers see the element.
pub(crate) fn share_character(mut types: MetaTypes) -> MetaTypes {
    let base_of = |type_: &TypeIdent| match types.get_resolved_type(type_).map(|meta| &meta.variant) {
        Some(MetaTypeVariant::ComplexType(ComplexMeta { base: Base::Extension(base), .. })) => Some(base.clone()),
        _ => None,
    };
    let mut replaced: Vec<(TypeIdent, usize, TypeIdent)> = Vec::new();
    for (ident, meta) in &types.items {
        let MetaTypeVariant::All(group) = &meta.variant else {
            continue;
        };
        for (index, element) in group.elements.iter().enumerate() {
            if let ElementMetaVariant::Type { type_, .. } = &element.variant
                && let Some(base) = base_of(type_)
            {
                replaced.push((ident.clone(), index, base));
            }
        }
    }
    for (group, index, base) in replaced {
        if let Some(MetaTypeVariant::All(group)) = types.get_variant_mut(&group)
            && let ElementMetaVariant::Type { type_, .. } = &mut group.elements[index].variant
        {
            *type_ = base;
        }
    }
    types
}

/// The source of the module, formatted.
pub(crate) fn source(module: &Module) -> Result<String> {
    use quote::ToTokens;

    let file = syn::parse2(module.to_token_stream())?;
    Ok(prettyplease::unparse(&file))
}
