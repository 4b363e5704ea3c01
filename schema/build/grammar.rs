//! Writes the tables of `src/grammar.rs`: xsd-parser's MetaTypes as Rust statics.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::Regex;
use xsd_parser::MetaTypes;
use xsd_parser::models::meta::{AttributeMeta, ElementMeta, ElementMetaVariant, MetaType, MetaTypeVariant};
use xsd_parser::models::schema::MaxOccurs;
use xsd_parser::models::{IdentType, TypeIdent};

use crate::fixed::FixedValues;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The XSD's types of text, each with the variant of `TextKind` that it is read as.
const TEXT_TYPES: [(&str, &str); 4] = [("Tags", "Tags"), ("Name", "Token"), ("Prose", "Prose"), ("Gender", "Token")];

/// What marks the documentation text that gives an example.
const EXAMPLE: &str = "Example: ";

/// The source of the statics: `PROMPT` and `NEGATIVE_PROMPT`, and what they refer to.
pub(crate) fn tables(types: &MetaTypes, fixed: &FixedValues) -> Result<String> {
    let mut writer = Writer { types, fixed, lists: BTreeMap::new(), source: String::new() };
    for (constant, name) in [("PROMPT", "prompt"), ("NEGATIVE_PROMPT", "negative_prompt")] {
        let (ident, meta) = types
            .items
            .iter()
            .find(|(ident, _)| ident.type_ == IdentType::Element && ident.name.as_str() == name)
            .ok_or_else(|| format!("prompt.xsd declares no global element `{name}`"))?;
        let documentation = documentation(&[&meta.documentation]);
        let decl = writer.element(name, documentation, (1, 1), ident)?;
        writeln!(
            writer.source,
            "/// The grammar of a `<{name}>` document.\npub static {constant}: ElementDecl = {decl};"
        )?;
    }
    writer.text_types()?;
    Ok(writer.source)
}

struct Writer<'a> {
    types: &'a MetaTypes,
    fixed: &'a FixedValues,
    /// Source of a list of children -> name of its static: equal lists are written once.
    lists: BTreeMap<String, String>,
    source: String,
}

impl Writer<'_> {
    /// An expression of type `ElementDecl`.
    fn element(
        &mut self,
        name: &str,
        (documentation, example): (String, String),
        (min_occurs, max_occurs): (usize, usize),
        type_: &TypeIdent,
    ) -> Result<String> {
        let meta =
            self.types.get_resolved_type(type_).ok_or_else(|| format!("the type of `{name}` is not declared"))?;
        let mut type_documentation = documentation_of(meta);
        let (attributes, content) = match &meta.variant {
            MetaTypeVariant::ComplexType(complex) => {
                if let Some(base) = complex.base.as_ident().and_then(|base| self.types.items.get(base)) {
                    type_documentation = documentation_of(base);
                }
                let mut attributes = String::new();
                for attribute in complex.attributes.iter() {
                    attributes.push_str(&self.attribute(name, attribute)?);
                }
                let content = complex.content_meta(self.types).map(|meta| &meta.variant);
                let Some(MetaTypeVariant::All(group)) = content else {
                    return Err(format!("the content of `{name}` is not xs:all").into());
                };
                let mut children = String::new();
                for child in group.elements.iter() {
                    write!(children, "{}, ", self.child(child)?)?;
                }
                let list = self.list(name, group.elements.len(), children)?;
                (attributes, format!("Content::Children(&{list})"))
            }
            _ => (String::new(), self.text(name, type_)?),
        };
        Ok(format!(
            "ElementDecl {{ name: {name:?}, documentation: {documentation:?}, \
             type_documentation: {type_documentation:?}, example: {example:?}, min_occurs: {min_occurs}, max_occurs: {max_occurs}, attributes: &[{attributes}], content: {content} }}"
        ))
    }

    fn child(&mut self, child: &ElementMeta) -> Result<String> {
        let name = child.ident.name.as_str();
        let ElementMetaVariant::Type { type_, .. } = &child.variant else {
            return Err(format!("`{name}` has no type").into());
        };
        let MaxOccurs::Bounded(max_occurs) = child.max_occurs else {
            return Err(format!("`{name}` may stand there without bound").into());
        };
        let of_type = self.types.get_resolved_type(type_).map_or(&[][..], |meta| &meta.documentation);
        let documentation = documentation(&[&child.documentation, of_type]);
        self.element(name, documentation, (child.min_occurs, max_occurs), type_)
    }

    fn attribute(&self, element: &str, attribute: &AttributeMeta) -> Result<String> {
        let name = attribute.ident.name.as_str();
        let fixed = self.fixed.get(&(element.to_owned(), name.to_owned()));
        let (documentation, _) = documentation(&[&attribute.documentation]);
        Ok(format!("AttributeDecl {{ name: {name:?}, documentation: {documentation:?}, fixed: {fixed:?} }}, "))
    }

    /// The name of the static that holds the children, which is written if no equal one exists.
    fn list(&mut self, element: &str, count: usize, children: String) -> Result<String> {
        if let Some(list) = self.lists.get(&children) {
            return Ok(list.clone());
        }
        let list = format!("CHILDREN_OF_{}", element.to_uppercase());
        writeln!(self.source, "static {list}: [ElementDecl; {count}] = [{children}];")?;
        self.lists.insert(children, list.clone());
        Ok(list)
    }

    /// An expression of type `Content` for an element of text.
    fn text(&self, element: &str, type_: &TypeIdent) -> Result<String> {
        let (type_name, kind, meta) =
            self.kind(type_).ok_or_else(|| format!("`{element}`: no kind of text is known for `{type_}`"))?;
        let (constrains, variants) = match &meta.variant {
            MetaTypeVariant::SimpleType(simple) => (Some(&simple.constrains), &[][..]),
            MetaTypeVariant::Enumeration(enumeration) => (Some(&enumeration.constrains), &enumeration.variants[..]),
            _ => (None, &[][..]),
        };
        let values: Vec<_> = variants.iter().map(|variant| variant.ident.name.as_str()).collect();
        let said: Vec<_> = variants.iter().map(|variant| documentation(&[&variant.documentation]).0).collect();
        let mut may_be_empty = values.is_empty();
        if let Some(constrains) = constrains {
            may_be_empty &= constrains.min_length.unwrap_or(0) == 0;
            for pattern in &constrains.patterns {
                may_be_empty &= Regex::new(&format!("^(?:{pattern})$"))?.is_match("");
            }
        }
        Ok(format!(
            "Content::Text(TextDecl {{ type_name: {type_name:?}, kind: TextKind::{kind}, may_be_empty: {may_be_empty}, \
             values: &{values:?}, value_documentation: &{said:?} }})"
        ))
    }

    /// The first type of text in the chain that `type_` stands for: its name, its variant of `TextKind`, itself.
    fn kind(&self, type_: &TypeIdent) -> Option<(&'static str, &'static str, &MetaType)> {
        let meta = self.types.items.get(type_)?;
        if let Some((name, kind)) = TEXT_TYPES.into_iter().find(|(name, _)| *name == type_.name.as_str()) {
            return Some((name, kind, meta));
        }
        match &meta.variant {
            MetaTypeVariant::Reference(reference) => self.kind(&reference.type_),
            _ => None,
        }
    }

    /// The static that documents the types of text.
    fn text_types(&mut self) -> Result<()> {
        let mut entries = String::new();
        for (name, _) in TEXT_TYPES {
            let is_it = |ident: &TypeIdent| ident.type_ == IdentType::Type && ident.name.as_named_str() == Some(name);
            // xs:Name is a type of that name, too; ours is documented.
            let metas = self.types.items.iter().filter(|(ident, _)| is_it(ident)).map(|(_, meta)| meta);
            let (documentation, example) = metas
                .map(|meta| documentation(&[&meta.documentation]))
                .find(|(documentation, _)| !documentation.is_empty())
                .ok_or_else(|| format!("prompt.xsd documents no type `{name}`"))?;
            write!(
                entries,
                "TextTypeDecl {{ name: {name:?}, documentation: {documentation:?}, example: {example:?} }}, "
            )?;
        }
        let count = TEXT_TYPES.len();
        writeln!(
            self.source,
            "/// What the types of text are.\npub static TEXT_TYPES: [TextTypeDecl; {count}] = [{entries}];"
        )?;
        Ok(())
    }
}

/// What the XSD says about a type.
fn documentation_of(meta: &MetaType) -> String {
    documentation(&[&meta.documentation]).0
}

/// What the first non-empty source says, and the first example that any of them gives.
fn documentation(sources: &[&[String]]) -> (String, String) {
    let texts = |source: &[String], want_example: bool| {
        source
            .iter()
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|text| text.starts_with(EXAMPLE) == want_example)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let first = |want_example| {
        sources.iter().map(|source| texts(source, want_example)).find(|text| !text.is_empty()).unwrap_or_default()
    };
    let example = first(true);
    let example = example.strip_prefix(EXAMPLE).unwrap_or_default().to_owned();
    (first(false), example)
}
