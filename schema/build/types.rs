//! Writes the Rust types of `src/generated.rs`: how xsd-parser is told to, and what is changed in its model before.

use xsd_parser::config::{Config, GeneratorFlags, OptimizerFlags, RendererFlags};
use xsd_parser::models::meta::{Base, ComplexMeta, ElementMetaVariant, MetaTypeVariant};
use xsd_parser::models::{IdentType, TypeIdent};
use xsd_parser::{MetaTypes, Module};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The two documents and what they are made of, read through quick-xml. (`src/render.rs` writes: it must also write what
/// no document may hold, so that the diagnostics can show it.)
///
/// Texts are plain strings: a value that the XSD's patterns refuse is refused where it becomes a
/// [`Prompt`](../src/prompt.rs), which costs no regular expression.
pub fn config(config: Config) -> Config {
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
/// reader. `src/document/events.rs` compares the attributes with the law's tables before the readers see the element.
pub fn share_character(mut types: MetaTypes) -> MetaTypes {
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
pub fn source(module: &Module) -> Result<String> {
    use quote::ToTokens;

    let file = syn::parse2(module.to_token_stream())?;
    Ok(format!(
        "// Made from prompt.xsd by xsd-parser; `SAKUGA_REGENERATE=1 cargo test -p sakuga-schema` makes it again.\n\n{}",
        prettyplease::unparse(&file)
    ))
}
