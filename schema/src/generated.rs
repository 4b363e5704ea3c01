// Made from prompt.xsd by xsd-parser; `SAKUGA_REGENERATE=1 cargo test -p sakuga-schema` makes it again.

use xsd_parser_types::{
    misc::Namespace,
    quick_xml::{
        DeserializeBytes, DeserializeHelper, Error, ErrorKind, RawByteStr,
        WithDeserializer, WithDeserializerFromBytes,
    },
};
pub const NS_XS: Namespace = Namespace::new_const(b"http://www.w3.org/2001/XMLSchema");
pub const NS_XML: Namespace = Namespace::new_const(
    b"http://www.w3.org/XML/1998/namespace",
);
pub const NS_XSI: Namespace = Namespace::new_const(
    b"http://www.w3.org/2001/XMLSchema-instance",
);
///One picture, described by its characters, what they share, and a sentence. Children stand in any order, each at most once; the canonical order is the order of this list. Without any child the prompt is empty and the picture unconditioned.
pub type Prompt = PromptElementType;
#[derive(Clone, Debug, PartialEq)]
pub struct PromptElementType {
    ///The first character. What stands inside is about this character alone. Who is first does not say who stands left: that is what position is for.
    pub character_1: Option<CharacterType>,
    ///The second character; there must be a character_1 too.
    pub character_2: Option<CharacterType>,
    ///The third character; there must be a character_2 too.
    pub character_3: Option<CharacterType>,
    ///The fourth character; there must be a character_3 too.
    pub character_4: Option<CharacterType>,
    ///The fifth character; there must be a character_4 too.
    pub character_5: Option<CharacterType>,
    ///The sixth character; there must be a character_5 too.
    pub character_6: Option<CharacterType>,
    ///The seventh character; there must be a character_6 too.
    pub character_7: Option<CharacterType>,
    ///The eighth character; there must be a character_7 too.
    pub character_8: Option<CharacterType>,
    ///The ninth character; there must be a character_8 too.
    pub character_9: Option<CharacterType>,
    ///The tenth character; there must be a character_9 too.
    pub character_10: Option<CharacterType>,
    ///The eleventh character; there must be a character_10 too.
    pub character_11: Option<CharacterType>,
    ///The twelfth character; there must be a character_11 too.
    pub character_12: Option<CharacterType>,
    ///The thirteenth character; there must be a character_12 too.
    pub character_13: Option<CharacterType>,
    ///The fourteenth character; there must be a character_13 too.
    pub character_14: Option<CharacterType>,
    ///The fifteenth character; there must be a character_14 too.
    pub character_15: Option<CharacterType>,
    ///The sixteenth character; there must be a character_15 too.
    pub character_16: Option<CharacterType>,
    ///What holds for the whole picture: how many characters, style, place, light, quality.
    pub general_tags: Option<GeneralTagsType>,
    ///The picture in plain sentences, as one would tell it to a person. Line breaks are kept.
    ///Example: Two girls share an umbrella in front of a lit shop window.
    pub caption: Option<String>,
}
impl WithDeserializer for PromptElementType {
    type Deserializer = quick_xml_deserialize::PromptElementTypeDeserializer;
}
///One character. Children stand in any order, each at most once; gender is the only one that must be there, and one with nothing to say is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct CharacterType {
    ///The name: a character that Danbooru knows, original_character, or a placeholder such as $character_1$. May be empty.
    ///Example: hatsune_miku
    pub n: Option<String>,
    ///The count word of this character alone. Required.
    ///Example: 1girl
    pub gender: GenderType,
    ///What the character is born with or always has: hair, eyes, skin, ears, horns, tail.
    ///Example: long_hair, silver_hair, blue_eyes, fox_ears
    pub appearance: Option<String>,
    ///What the character wears or carries on the body, from head to foot.
    ///Example: white_shirt, pleated_skirt, black_thighhighs, hair_ribbon
    pub clothing: Option<String>,
    ///Height, build and the impression of age.
    ///Example: petite
    pub body_type: Option<String>,
    ///Face and mood.
    ///Example: smile, closed_mouth, blush
    pub expression: Option<String>,
    ///What the character does, posture and gesture included.
    ///Example: sitting, holding_book, looking_at_viewer
    pub action: Option<String>,
    ///What the character does to another one, or with another one.
    ///Example: holding_hands, looking_at_another
    pub interaction: Option<String>,
    ///Where in the picture the character is, seen from the viewer.
    ///Example: center_left
    pub position: Option<String>,
}
impl WithDeserializer for CharacterType {
    type Deserializer = quick_xml_deserialize::CharacterTypeDeserializer;
}
///What holds for the whole picture. Children stand in any order, each at most once; one with nothing to say is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneralTagsType {
    ///How many characters, in total and by gender.
    ///Example: 2girls, multiple_girls
    pub count: Option<String>,
    ///Artists whose manner to follow; the prefix artist: may stand before a name.
    ///Example: artist:some_painter
    pub artists: Option<String>,
    ///Medium and manner.
    ///Example: anime_style, watercolor_(medium)
    pub style: Option<String>,
    ///What is seen behind the characters.
    ///Example: night_sky, city_lights
    pub background: Option<String>,
    ///The place as a whole: indoors or outdoors, season, weather.
    ///Example: indoors, classroom
    pub environment: Option<String>,
    ///The camera: angle, distance, framing.
    ///Example: from_below, upper_body, dutch_angle
    pub perspective: Option<String>,
    ///The mood of the picture.
    ///Example: peaceful, nostalgic
    pub atmosphere: Option<String>,
    ///Light: its source, colour and direction.
    ///Example: sunset, backlighting, soft_lighting
    pub lighting: Option<String>,
    ///Quality words that the training data carried.
    ///Example: masterpiece, best_quality, very_aesthetic
    pub quality: Option<String>,
    ///Resolution words that the training data carried.
    ///Example: max_high_resolution
    pub resolution: Option<String>,
    ///Things in the picture that belong to nobody.
    ///Example: umbrella, street_lamp
    pub objects: Option<String>,
    ///What has no other place.
    ///Example: alternate_costume
    pub other: Option<String>,
}
impl WithDeserializer for GeneralTagsType {
    type Deserializer = quick_xml_deserialize::GeneralTagsTypeDeserializer;
}
///The count word of one character, as Danbooru writes it.
///Example: 1girl
#[derive(Clone, Debug, PartialEq)]
pub enum GenderType {
    ///A girl or a woman.
    _1Girl,
    ///A boy or a man.
    _1Boy,
    ///Anyone else: ambiguous, a robot, an animal, a creature.
    _1Other,
}
impl DeserializeBytes for GenderType {
    fn deserialize_bytes(
        helper: &mut DeserializeHelper,
        bytes: &[u8],
    ) -> Result<Self, Error> {
        match bytes {
            b"1girl" => Ok(Self::_1Girl),
            b"1boy" => Ok(Self::_1Boy),
            b"1other" => Ok(Self::_1Other),
            x => {
                Err(
                    Error::from(
                        ErrorKind::UnknownOrInvalidValue(RawByteStr::from_slice(x)),
                    ),
                )
            }
        }
    }
}
impl WithDeserializerFromBytes for GenderType {}
///What the picture must not be. The unconditional half of classifier-free guidance reads it. A file usually holds its children without this root.
pub type NegativePrompt = NegativePromptType;
///What the picture must not be. Children stand in any order, each at most once; one with nothing to say is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct NegativePromptType {
    ///Unwanted tags, as Danbooru writes them.
    ///Example: worst_quality, low_quality, bad_anatomy, watermark
    pub danbooru_tags: Option<String>,
    ///Unwanted tags, as e621 writes them.
    ///Example: anthro
    pub e621_tags: Option<String>,
    ///Unwanted resolution words.
    ///Example: low_resolution
    pub resolution: Option<String>,
    ///The unwanted in plain sentences. Line breaks are kept.
    ///Example: A blurred photograph with a watermark.
    pub caption: Option<String>,
}
impl WithDeserializer for NegativePromptType {
    type Deserializer = quick_xml_deserialize::NegativePromptTypeDeserializer;
}
pub mod quick_xml_deserialize {
    use core::mem::replace;
    use xsd_parser_types::quick_xml::{
        BytesStart, DeserializeHelper, Deserializer, DeserializerArtifact,
        DeserializerEvent, DeserializerOutput, DeserializerResult, ElementHandlerOutput,
        Error, ErrorKind, Event, RawByteStr, WithDeserializer,
    };
    #[derive(Debug)]
    pub struct PromptElementTypeDeserializer {
        character_1: Option<super::CharacterType>,
        character_2: Option<super::CharacterType>,
        character_3: Option<super::CharacterType>,
        character_4: Option<super::CharacterType>,
        character_5: Option<super::CharacterType>,
        character_6: Option<super::CharacterType>,
        character_7: Option<super::CharacterType>,
        character_8: Option<super::CharacterType>,
        character_9: Option<super::CharacterType>,
        character_10: Option<super::CharacterType>,
        character_11: Option<super::CharacterType>,
        character_12: Option<super::CharacterType>,
        character_13: Option<super::CharacterType>,
        character_14: Option<super::CharacterType>,
        character_15: Option<super::CharacterType>,
        character_16: Option<super::CharacterType>,
        general_tags: Option<super::GeneralTagsType>,
        caption: Option<String>,
        state__: Box<PromptElementTypeDeserializerState>,
    }
    #[derive(Debug)]
    enum PromptElementTypeDeserializerState {
        Init__,
        Next__,
        Character1(<super::CharacterType as WithDeserializer>::Deserializer),
        Character2(<super::CharacterType as WithDeserializer>::Deserializer),
        Character3(<super::CharacterType as WithDeserializer>::Deserializer),
        Character4(<super::CharacterType as WithDeserializer>::Deserializer),
        Character5(<super::CharacterType as WithDeserializer>::Deserializer),
        Character6(<super::CharacterType as WithDeserializer>::Deserializer),
        Character7(<super::CharacterType as WithDeserializer>::Deserializer),
        Character8(<super::CharacterType as WithDeserializer>::Deserializer),
        Character9(<super::CharacterType as WithDeserializer>::Deserializer),
        Character10(<super::CharacterType as WithDeserializer>::Deserializer),
        Character11(<super::CharacterType as WithDeserializer>::Deserializer),
        Character12(<super::CharacterType as WithDeserializer>::Deserializer),
        Character13(<super::CharacterType as WithDeserializer>::Deserializer),
        Character14(<super::CharacterType as WithDeserializer>::Deserializer),
        Character15(<super::CharacterType as WithDeserializer>::Deserializer),
        Character16(<super::CharacterType as WithDeserializer>::Deserializer),
        GeneralTags(<super::GeneralTagsType as WithDeserializer>::Deserializer),
        Caption(<String as WithDeserializer>::Deserializer),
        Unknown__,
    }
    impl PromptElementTypeDeserializer {
        fn find_suitable<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            if let Event::Start(x) | Event::Empty(x) = &event {
                if x.name().local_name().as_ref() == b"character_1" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_1(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_2" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_2(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_3" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_3(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_4" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_4(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_5" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_5(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_6" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_6(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_7" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_7(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_8" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_8(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_9" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_9(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_10" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_10(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_11" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_11(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_12" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_12(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_13" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_13(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_14" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_14(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_15" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_15(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"character_16" {
                    let output = <super::CharacterType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_character_16(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"general_tags" {
                    let output = <super::GeneralTagsType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_general_tags(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"caption" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_caption(helper, output, &mut *fallback);
                }
            }
            *self.state__ = fallback
                .take()
                .unwrap_or(PromptElementTypeDeserializerState::Init__);
            Ok(ElementHandlerOutput::return_to_parent(event, false))
        }
        fn from_bytes_start(
            helper: &mut DeserializeHelper,
            bytes_start: &BytesStart<'_>,
        ) -> Result<Self, Error> {
            for attrib in helper.filter_xmlns_attributes(bytes_start) {
                let attrib = attrib?;
                helper.raise_unexpected_attrib_checked(&attrib)?;
            }
            Ok(Self {
                character_1: None,
                character_2: None,
                character_3: None,
                character_4: None,
                character_5: None,
                character_6: None,
                character_7: None,
                character_8: None,
                character_9: None,
                character_10: None,
                character_11: None,
                character_12: None,
                character_13: None,
                character_14: None,
                character_15: None,
                character_16: None,
                general_tags: None,
                caption: None,
                state__: Box::new(PromptElementTypeDeserializerState::Init__),
            })
        }
        fn finish_state(
            &mut self,
            helper: &mut DeserializeHelper,
            state: PromptElementTypeDeserializerState,
        ) -> Result<(), Error> {
            use PromptElementTypeDeserializerState as S;
            match state {
                S::Character1(deserializer) => {
                    self.store_character_1(deserializer.finish(helper)?)?
                }
                S::Character2(deserializer) => {
                    self.store_character_2(deserializer.finish(helper)?)?
                }
                S::Character3(deserializer) => {
                    self.store_character_3(deserializer.finish(helper)?)?
                }
                S::Character4(deserializer) => {
                    self.store_character_4(deserializer.finish(helper)?)?
                }
                S::Character5(deserializer) => {
                    self.store_character_5(deserializer.finish(helper)?)?
                }
                S::Character6(deserializer) => {
                    self.store_character_6(deserializer.finish(helper)?)?
                }
                S::Character7(deserializer) => {
                    self.store_character_7(deserializer.finish(helper)?)?
                }
                S::Character8(deserializer) => {
                    self.store_character_8(deserializer.finish(helper)?)?
                }
                S::Character9(deserializer) => {
                    self.store_character_9(deserializer.finish(helper)?)?
                }
                S::Character10(deserializer) => {
                    self.store_character_10(deserializer.finish(helper)?)?
                }
                S::Character11(deserializer) => {
                    self.store_character_11(deserializer.finish(helper)?)?
                }
                S::Character12(deserializer) => {
                    self.store_character_12(deserializer.finish(helper)?)?
                }
                S::Character13(deserializer) => {
                    self.store_character_13(deserializer.finish(helper)?)?
                }
                S::Character14(deserializer) => {
                    self.store_character_14(deserializer.finish(helper)?)?
                }
                S::Character15(deserializer) => {
                    self.store_character_15(deserializer.finish(helper)?)?
                }
                S::Character16(deserializer) => {
                    self.store_character_16(deserializer.finish(helper)?)?
                }
                S::GeneralTags(deserializer) => {
                    self.store_general_tags(deserializer.finish(helper)?)?
                }
                S::Caption(deserializer) => {
                    self.store_caption(deserializer.finish(helper)?)?
                }
                _ => {}
            }
            Ok(())
        }
        fn store_character_1(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_1.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_1")),
                )?;
            }
            self.character_1 = Some(value);
            Ok(())
        }
        fn store_character_2(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_2.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_2")),
                )?;
            }
            self.character_2 = Some(value);
            Ok(())
        }
        fn store_character_3(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_3.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_3")),
                )?;
            }
            self.character_3 = Some(value);
            Ok(())
        }
        fn store_character_4(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_4.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_4")),
                )?;
            }
            self.character_4 = Some(value);
            Ok(())
        }
        fn store_character_5(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_5.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_5")),
                )?;
            }
            self.character_5 = Some(value);
            Ok(())
        }
        fn store_character_6(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_6.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_6")),
                )?;
            }
            self.character_6 = Some(value);
            Ok(())
        }
        fn store_character_7(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_7.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_7")),
                )?;
            }
            self.character_7 = Some(value);
            Ok(())
        }
        fn store_character_8(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_8.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_8")),
                )?;
            }
            self.character_8 = Some(value);
            Ok(())
        }
        fn store_character_9(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_9.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_9")),
                )?;
            }
            self.character_9 = Some(value);
            Ok(())
        }
        fn store_character_10(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_10.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_10")),
                )?;
            }
            self.character_10 = Some(value);
            Ok(())
        }
        fn store_character_11(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_11.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_11")),
                )?;
            }
            self.character_11 = Some(value);
            Ok(())
        }
        fn store_character_12(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_12.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_12")),
                )?;
            }
            self.character_12 = Some(value);
            Ok(())
        }
        fn store_character_13(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_13.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_13")),
                )?;
            }
            self.character_13 = Some(value);
            Ok(())
        }
        fn store_character_14(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_14.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_14")),
                )?;
            }
            self.character_14 = Some(value);
            Ok(())
        }
        fn store_character_15(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_15.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_15")),
                )?;
            }
            self.character_15 = Some(value);
            Ok(())
        }
        fn store_character_16(
            &mut self,
            value: super::CharacterType,
        ) -> Result<(), Error> {
            if self.character_16.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"character_16")),
                )?;
            }
            self.character_16 = Some(value);
            Ok(())
        }
        fn store_general_tags(
            &mut self,
            value: super::GeneralTagsType,
        ) -> Result<(), Error> {
            if self.general_tags.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"general_tags")),
                )?;
            }
            self.general_tags = Some(value);
            Ok(())
        }
        fn store_caption(&mut self, value: String) -> Result<(), Error> {
            if self.caption.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"caption")))?;
            }
            self.caption = Some(value);
            Ok(())
        }
        fn handle_character_1<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_1(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character1(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_2<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_2(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character2(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_3<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_3(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character3(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_4<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_4(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character4(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_5<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_5(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character5(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_6<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_6(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character6(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_7<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_7(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character7(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_8<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_8(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character8(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_9<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_9(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character9(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_10<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_10(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character10(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_11<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_11(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character11(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_12<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_12(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character12(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_13<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_13(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character13(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_14<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_14(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character14(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_15<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_15(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character15(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_character_16<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::CharacterType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_character_16(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Character16(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_general_tags<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::GeneralTagsType>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_general_tags(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::GeneralTags(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_caption<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<PromptElementTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use PromptElementTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_caption(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Caption(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
    }
    impl<'de> Deserializer<'de, super::PromptElementType>
    for PromptElementTypeDeserializer {
        fn init(
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::PromptElementType> {
            helper.init_deserializer_from_start_event(event, Self::from_bytes_start)
        }
        fn next(
            mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::PromptElementType> {
            use PromptElementTypeDeserializerState as S;
            let mut event = event;
            let mut fallback = None;
            let (event, allow_any) = loop {
                let state = replace(&mut *self.state__, S::Unknown__);
                event = match (state, event) {
                    (S::Unknown__, _) => unreachable!(),
                    (S::Character1(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_1(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character2(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_2(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character3(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_3(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character4(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_4(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character5(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_5(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character6(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_6(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character7(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_7(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character8(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_8(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character9(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_9(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character10(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_10(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character11(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_11(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character12(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_12(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character13(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_13(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character14(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_14(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character15(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_15(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Character16(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_character_16(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::GeneralTags(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_general_tags(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Caption(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_caption(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (_, Event::End(_)) => {
                        return Ok(DeserializerOutput {
                            artifact: DeserializerArtifact::Data(self.finish(helper)?),
                            event: DeserializerEvent::None,
                            allow_any: false,
                        });
                    }
                    (state @ (S::Init__ | S::Next__), event) => {
                        fallback.get_or_insert(state);
                        match self.find_suitable(helper, event, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                };
            };
            if let Some(fallback) = fallback {
                *self.state__ = fallback;
            }
            Ok(DeserializerOutput {
                artifact: DeserializerArtifact::Deserializer(self),
                event,
                allow_any,
            })
        }
        fn finish(
            mut self,
            helper: &mut DeserializeHelper,
        ) -> Result<super::PromptElementType, Error> {
            let state = replace(
                &mut *self.state__,
                PromptElementTypeDeserializerState::Unknown__,
            );
            self.finish_state(helper, state)?;
            Ok(super::PromptElementType {
                character_1: self.character_1,
                character_2: self.character_2,
                character_3: self.character_3,
                character_4: self.character_4,
                character_5: self.character_5,
                character_6: self.character_6,
                character_7: self.character_7,
                character_8: self.character_8,
                character_9: self.character_9,
                character_10: self.character_10,
                character_11: self.character_11,
                character_12: self.character_12,
                character_13: self.character_13,
                character_14: self.character_14,
                character_15: self.character_15,
                character_16: self.character_16,
                general_tags: self.general_tags,
                caption: self.caption,
            })
        }
    }
    #[derive(Debug)]
    pub struct CharacterTypeDeserializer {
        n: Option<String>,
        gender: Option<super::GenderType>,
        appearance: Option<String>,
        clothing: Option<String>,
        body_type: Option<String>,
        expression: Option<String>,
        action: Option<String>,
        interaction: Option<String>,
        position: Option<String>,
        state__: Box<CharacterTypeDeserializerState>,
    }
    #[derive(Debug)]
    enum CharacterTypeDeserializerState {
        Init__,
        Next__,
        N(<String as WithDeserializer>::Deserializer),
        Gender(<super::GenderType as WithDeserializer>::Deserializer),
        Appearance(<String as WithDeserializer>::Deserializer),
        Clothing(<String as WithDeserializer>::Deserializer),
        BodyType(<String as WithDeserializer>::Deserializer),
        Expression(<String as WithDeserializer>::Deserializer),
        Action(<String as WithDeserializer>::Deserializer),
        Interaction(<String as WithDeserializer>::Deserializer),
        Position(<String as WithDeserializer>::Deserializer),
        Unknown__,
    }
    impl CharacterTypeDeserializer {
        fn find_suitable<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            if let Event::Start(x) | Event::Empty(x) = &event {
                if x.name().local_name().as_ref() == b"n" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_n(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"gender" {
                    let output = <super::GenderType as WithDeserializer>::init(
                        helper,
                        event,
                    )?;
                    return self.handle_gender(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"appearance" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_appearance(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"clothing" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_clothing(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"body_type" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_body_type(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"expression" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_expression(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"action" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_action(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"interaction" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_interaction(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"position" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_position(helper, output, &mut *fallback);
                }
            }
            *self.state__ = fallback
                .take()
                .unwrap_or(CharacterTypeDeserializerState::Init__);
            Ok(ElementHandlerOutput::return_to_parent(event, false))
        }
        fn from_bytes_start(
            helper: &mut DeserializeHelper,
            bytes_start: &BytesStart<'_>,
        ) -> Result<Self, Error> {
            for attrib in helper.filter_xmlns_attributes(bytes_start) {
                let attrib = attrib?;
                helper.raise_unexpected_attrib_checked(&attrib)?;
            }
            Ok(Self {
                n: None,
                gender: None,
                appearance: None,
                clothing: None,
                body_type: None,
                expression: None,
                action: None,
                interaction: None,
                position: None,
                state__: Box::new(CharacterTypeDeserializerState::Init__),
            })
        }
        fn finish_state(
            &mut self,
            helper: &mut DeserializeHelper,
            state: CharacterTypeDeserializerState,
        ) -> Result<(), Error> {
            use CharacterTypeDeserializerState as S;
            match state {
                S::N(deserializer) => self.store_n(deserializer.finish(helper)?)?,
                S::Gender(deserializer) => {
                    self.store_gender(deserializer.finish(helper)?)?
                }
                S::Appearance(deserializer) => {
                    self.store_appearance(deserializer.finish(helper)?)?
                }
                S::Clothing(deserializer) => {
                    self.store_clothing(deserializer.finish(helper)?)?
                }
                S::BodyType(deserializer) => {
                    self.store_body_type(deserializer.finish(helper)?)?
                }
                S::Expression(deserializer) => {
                    self.store_expression(deserializer.finish(helper)?)?
                }
                S::Action(deserializer) => {
                    self.store_action(deserializer.finish(helper)?)?
                }
                S::Interaction(deserializer) => {
                    self.store_interaction(deserializer.finish(helper)?)?
                }
                S::Position(deserializer) => {
                    self.store_position(deserializer.finish(helper)?)?
                }
                _ => {}
            }
            Ok(())
        }
        fn store_n(&mut self, value: String) -> Result<(), Error> {
            if self.n.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"n")))?;
            }
            self.n = Some(value);
            Ok(())
        }
        fn store_gender(&mut self, value: super::GenderType) -> Result<(), Error> {
            if self.gender.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"gender")))?;
            }
            self.gender = Some(value);
            Ok(())
        }
        fn store_appearance(&mut self, value: String) -> Result<(), Error> {
            if self.appearance.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"appearance")))?;
            }
            self.appearance = Some(value);
            Ok(())
        }
        fn store_clothing(&mut self, value: String) -> Result<(), Error> {
            if self.clothing.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"clothing")))?;
            }
            self.clothing = Some(value);
            Ok(())
        }
        fn store_body_type(&mut self, value: String) -> Result<(), Error> {
            if self.body_type.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"body_type")))?;
            }
            self.body_type = Some(value);
            Ok(())
        }
        fn store_expression(&mut self, value: String) -> Result<(), Error> {
            if self.expression.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"expression")))?;
            }
            self.expression = Some(value);
            Ok(())
        }
        fn store_action(&mut self, value: String) -> Result<(), Error> {
            if self.action.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"action")))?;
            }
            self.action = Some(value);
            Ok(())
        }
        fn store_interaction(&mut self, value: String) -> Result<(), Error> {
            if self.interaction.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"interaction")),
                )?;
            }
            self.interaction = Some(value);
            Ok(())
        }
        fn store_position(&mut self, value: String) -> Result<(), Error> {
            if self.position.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"position")))?;
            }
            self.position = Some(value);
            Ok(())
        }
        fn handle_n<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_n(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::N(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_gender<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, super::GenderType>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_gender(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Gender(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_appearance<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_appearance(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Appearance(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_clothing<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_clothing(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Clothing(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_body_type<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_body_type(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::BodyType(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_expression<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_expression(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Expression(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_action<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_action(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Action(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_interaction<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_interaction(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Interaction(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_position<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<CharacterTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use CharacterTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_position(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Position(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
    }
    impl<'de> Deserializer<'de, super::CharacterType> for CharacterTypeDeserializer {
        fn init(
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::CharacterType> {
            helper.init_deserializer_from_start_event(event, Self::from_bytes_start)
        }
        fn next(
            mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::CharacterType> {
            use CharacterTypeDeserializerState as S;
            let mut event = event;
            let mut fallback = None;
            let (event, allow_any) = loop {
                let state = replace(&mut *self.state__, S::Unknown__);
                event = match (state, event) {
                    (S::Unknown__, _) => unreachable!(),
                    (S::N(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_n(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Gender(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_gender(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Appearance(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_appearance(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Clothing(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_clothing(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::BodyType(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_body_type(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Expression(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_expression(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Action(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_action(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Interaction(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_interaction(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Position(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_position(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (_, Event::End(_)) => {
                        return Ok(DeserializerOutput {
                            artifact: DeserializerArtifact::Data(self.finish(helper)?),
                            event: DeserializerEvent::None,
                            allow_any: false,
                        });
                    }
                    (state @ (S::Init__ | S::Next__), event) => {
                        fallback.get_or_insert(state);
                        match self.find_suitable(helper, event, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                };
            };
            if let Some(fallback) = fallback {
                *self.state__ = fallback;
            }
            Ok(DeserializerOutput {
                artifact: DeserializerArtifact::Deserializer(self),
                event,
                allow_any,
            })
        }
        fn finish(
            mut self,
            helper: &mut DeserializeHelper,
        ) -> Result<super::CharacterType, Error> {
            let state = replace(
                &mut *self.state__,
                CharacterTypeDeserializerState::Unknown__,
            );
            self.finish_state(helper, state)?;
            Ok(super::CharacterType {
                n: self.n,
                gender: helper.finish_element("gender", self.gender)?,
                appearance: self.appearance,
                clothing: self.clothing,
                body_type: self.body_type,
                expression: self.expression,
                action: self.action,
                interaction: self.interaction,
                position: self.position,
            })
        }
    }
    #[derive(Debug)]
    pub struct GeneralTagsTypeDeserializer {
        count: Option<String>,
        artists: Option<String>,
        style: Option<String>,
        background: Option<String>,
        environment: Option<String>,
        perspective: Option<String>,
        atmosphere: Option<String>,
        lighting: Option<String>,
        quality: Option<String>,
        resolution: Option<String>,
        objects: Option<String>,
        other: Option<String>,
        state__: Box<GeneralTagsTypeDeserializerState>,
    }
    #[derive(Debug)]
    enum GeneralTagsTypeDeserializerState {
        Init__,
        Next__,
        Count(<String as WithDeserializer>::Deserializer),
        Artists(<String as WithDeserializer>::Deserializer),
        Style(<String as WithDeserializer>::Deserializer),
        Background(<String as WithDeserializer>::Deserializer),
        Environment(<String as WithDeserializer>::Deserializer),
        Perspective(<String as WithDeserializer>::Deserializer),
        Atmosphere(<String as WithDeserializer>::Deserializer),
        Lighting(<String as WithDeserializer>::Deserializer),
        Quality(<String as WithDeserializer>::Deserializer),
        Resolution(<String as WithDeserializer>::Deserializer),
        Objects(<String as WithDeserializer>::Deserializer),
        Other(<String as WithDeserializer>::Deserializer),
        Unknown__,
    }
    impl GeneralTagsTypeDeserializer {
        fn find_suitable<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            if let Event::Start(x) | Event::Empty(x) = &event {
                if x.name().local_name().as_ref() == b"count" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_count(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"artists" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_artists(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"style" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_style(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"background" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_background(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"environment" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_environment(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"perspective" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_perspective(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"atmosphere" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_atmosphere(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"lighting" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_lighting(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"quality" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_quality(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"resolution" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_resolution(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"objects" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_objects(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"other" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_other(helper, output, &mut *fallback);
                }
            }
            *self.state__ = fallback
                .take()
                .unwrap_or(GeneralTagsTypeDeserializerState::Init__);
            Ok(ElementHandlerOutput::return_to_parent(event, false))
        }
        fn from_bytes_start(
            helper: &mut DeserializeHelper,
            bytes_start: &BytesStart<'_>,
        ) -> Result<Self, Error> {
            for attrib in helper.filter_xmlns_attributes(bytes_start) {
                let attrib = attrib?;
                helper.raise_unexpected_attrib_checked(&attrib)?;
            }
            Ok(Self {
                count: None,
                artists: None,
                style: None,
                background: None,
                environment: None,
                perspective: None,
                atmosphere: None,
                lighting: None,
                quality: None,
                resolution: None,
                objects: None,
                other: None,
                state__: Box::new(GeneralTagsTypeDeserializerState::Init__),
            })
        }
        fn finish_state(
            &mut self,
            helper: &mut DeserializeHelper,
            state: GeneralTagsTypeDeserializerState,
        ) -> Result<(), Error> {
            use GeneralTagsTypeDeserializerState as S;
            match state {
                S::Count(deserializer) => self.store_count(deserializer.finish(helper)?)?,
                S::Artists(deserializer) => {
                    self.store_artists(deserializer.finish(helper)?)?
                }
                S::Style(deserializer) => self.store_style(deserializer.finish(helper)?)?,
                S::Background(deserializer) => {
                    self.store_background(deserializer.finish(helper)?)?
                }
                S::Environment(deserializer) => {
                    self.store_environment(deserializer.finish(helper)?)?
                }
                S::Perspective(deserializer) => {
                    self.store_perspective(deserializer.finish(helper)?)?
                }
                S::Atmosphere(deserializer) => {
                    self.store_atmosphere(deserializer.finish(helper)?)?
                }
                S::Lighting(deserializer) => {
                    self.store_lighting(deserializer.finish(helper)?)?
                }
                S::Quality(deserializer) => {
                    self.store_quality(deserializer.finish(helper)?)?
                }
                S::Resolution(deserializer) => {
                    self.store_resolution(deserializer.finish(helper)?)?
                }
                S::Objects(deserializer) => {
                    self.store_objects(deserializer.finish(helper)?)?
                }
                S::Other(deserializer) => self.store_other(deserializer.finish(helper)?)?,
                _ => {}
            }
            Ok(())
        }
        fn store_count(&mut self, value: String) -> Result<(), Error> {
            if self.count.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"count")))?;
            }
            self.count = Some(value);
            Ok(())
        }
        fn store_artists(&mut self, value: String) -> Result<(), Error> {
            if self.artists.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"artists")))?;
            }
            self.artists = Some(value);
            Ok(())
        }
        fn store_style(&mut self, value: String) -> Result<(), Error> {
            if self.style.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"style")))?;
            }
            self.style = Some(value);
            Ok(())
        }
        fn store_background(&mut self, value: String) -> Result<(), Error> {
            if self.background.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"background")))?;
            }
            self.background = Some(value);
            Ok(())
        }
        fn store_environment(&mut self, value: String) -> Result<(), Error> {
            if self.environment.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"environment")),
                )?;
            }
            self.environment = Some(value);
            Ok(())
        }
        fn store_perspective(&mut self, value: String) -> Result<(), Error> {
            if self.perspective.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"perspective")),
                )?;
            }
            self.perspective = Some(value);
            Ok(())
        }
        fn store_atmosphere(&mut self, value: String) -> Result<(), Error> {
            if self.atmosphere.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"atmosphere")))?;
            }
            self.atmosphere = Some(value);
            Ok(())
        }
        fn store_lighting(&mut self, value: String) -> Result<(), Error> {
            if self.lighting.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"lighting")))?;
            }
            self.lighting = Some(value);
            Ok(())
        }
        fn store_quality(&mut self, value: String) -> Result<(), Error> {
            if self.quality.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"quality")))?;
            }
            self.quality = Some(value);
            Ok(())
        }
        fn store_resolution(&mut self, value: String) -> Result<(), Error> {
            if self.resolution.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"resolution")))?;
            }
            self.resolution = Some(value);
            Ok(())
        }
        fn store_objects(&mut self, value: String) -> Result<(), Error> {
            if self.objects.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"objects")))?;
            }
            self.objects = Some(value);
            Ok(())
        }
        fn store_other(&mut self, value: String) -> Result<(), Error> {
            if self.other.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"other")))?;
            }
            self.other = Some(value);
            Ok(())
        }
        fn handle_count<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_count(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Count(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_artists<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_artists(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Artists(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_style<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_style(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Style(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_background<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_background(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Background(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_environment<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_environment(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Environment(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_perspective<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_perspective(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Perspective(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_atmosphere<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_atmosphere(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Atmosphere(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_lighting<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_lighting(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Lighting(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_quality<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_quality(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Quality(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_resolution<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_resolution(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Resolution(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_objects<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_objects(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Objects(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_other<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<GeneralTagsTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use GeneralTagsTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_other(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Other(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
    }
    impl<'de> Deserializer<'de, super::GeneralTagsType> for GeneralTagsTypeDeserializer {
        fn init(
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::GeneralTagsType> {
            helper.init_deserializer_from_start_event(event, Self::from_bytes_start)
        }
        fn next(
            mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::GeneralTagsType> {
            use GeneralTagsTypeDeserializerState as S;
            let mut event = event;
            let mut fallback = None;
            let (event, allow_any) = loop {
                let state = replace(&mut *self.state__, S::Unknown__);
                event = match (state, event) {
                    (S::Unknown__, _) => unreachable!(),
                    (S::Count(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_count(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Artists(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_artists(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Style(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_style(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Background(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_background(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Environment(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_environment(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Perspective(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_perspective(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Atmosphere(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_atmosphere(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Lighting(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_lighting(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Quality(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_quality(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Resolution(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_resolution(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Objects(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_objects(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Other(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_other(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (_, Event::End(_)) => {
                        return Ok(DeserializerOutput {
                            artifact: DeserializerArtifact::Data(self.finish(helper)?),
                            event: DeserializerEvent::None,
                            allow_any: false,
                        });
                    }
                    (state @ (S::Init__ | S::Next__), event) => {
                        fallback.get_or_insert(state);
                        match self.find_suitable(helper, event, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                };
            };
            if let Some(fallback) = fallback {
                *self.state__ = fallback;
            }
            Ok(DeserializerOutput {
                artifact: DeserializerArtifact::Deserializer(self),
                event,
                allow_any,
            })
        }
        fn finish(
            mut self,
            helper: &mut DeserializeHelper,
        ) -> Result<super::GeneralTagsType, Error> {
            let state = replace(
                &mut *self.state__,
                GeneralTagsTypeDeserializerState::Unknown__,
            );
            self.finish_state(helper, state)?;
            Ok(super::GeneralTagsType {
                count: self.count,
                artists: self.artists,
                style: self.style,
                background: self.background,
                environment: self.environment,
                perspective: self.perspective,
                atmosphere: self.atmosphere,
                lighting: self.lighting,
                quality: self.quality,
                resolution: self.resolution,
                objects: self.objects,
                other: self.other,
            })
        }
    }
    #[derive(Debug)]
    pub struct NegativePromptTypeDeserializer {
        danbooru_tags: Option<String>,
        e621_tags: Option<String>,
        resolution: Option<String>,
        caption: Option<String>,
        state__: Box<NegativePromptTypeDeserializerState>,
    }
    #[derive(Debug)]
    enum NegativePromptTypeDeserializerState {
        Init__,
        Next__,
        DanbooruTags(<String as WithDeserializer>::Deserializer),
        E621Tags(<String as WithDeserializer>::Deserializer),
        Resolution(<String as WithDeserializer>::Deserializer),
        Caption(<String as WithDeserializer>::Deserializer),
        Unknown__,
    }
    impl NegativePromptTypeDeserializer {
        fn find_suitable<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
            fallback: &mut Option<NegativePromptTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            if let Event::Start(x) | Event::Empty(x) = &event {
                if x.name().local_name().as_ref() == b"danbooru_tags" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_danbooru_tags(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"e621_tags" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_e621_tags(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"resolution" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_resolution(helper, output, &mut *fallback);
                }
                if x.name().local_name().as_ref() == b"caption" {
                    let output = <String as WithDeserializer>::init(helper, event)?;
                    return self.handle_caption(helper, output, &mut *fallback);
                }
            }
            *self.state__ = fallback
                .take()
                .unwrap_or(NegativePromptTypeDeserializerState::Init__);
            Ok(ElementHandlerOutput::return_to_parent(event, false))
        }
        fn from_bytes_start(
            helper: &mut DeserializeHelper,
            bytes_start: &BytesStart<'_>,
        ) -> Result<Self, Error> {
            for attrib in helper.filter_xmlns_attributes(bytes_start) {
                let attrib = attrib?;
                helper.raise_unexpected_attrib_checked(&attrib)?;
            }
            Ok(Self {
                danbooru_tags: None,
                e621_tags: None,
                resolution: None,
                caption: None,
                state__: Box::new(NegativePromptTypeDeserializerState::Init__),
            })
        }
        fn finish_state(
            &mut self,
            helper: &mut DeserializeHelper,
            state: NegativePromptTypeDeserializerState,
        ) -> Result<(), Error> {
            use NegativePromptTypeDeserializerState as S;
            match state {
                S::DanbooruTags(deserializer) => {
                    self.store_danbooru_tags(deserializer.finish(helper)?)?
                }
                S::E621Tags(deserializer) => {
                    self.store_e621_tags(deserializer.finish(helper)?)?
                }
                S::Resolution(deserializer) => {
                    self.store_resolution(deserializer.finish(helper)?)?
                }
                S::Caption(deserializer) => {
                    self.store_caption(deserializer.finish(helper)?)?
                }
                _ => {}
            }
            Ok(())
        }
        fn store_danbooru_tags(&mut self, value: String) -> Result<(), Error> {
            if self.danbooru_tags.is_some() {
                Err(
                    ErrorKind::DuplicateElement(RawByteStr::from_slice(b"danbooru_tags")),
                )?;
            }
            self.danbooru_tags = Some(value);
            Ok(())
        }
        fn store_e621_tags(&mut self, value: String) -> Result<(), Error> {
            if self.e621_tags.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"e621_tags")))?;
            }
            self.e621_tags = Some(value);
            Ok(())
        }
        fn store_resolution(&mut self, value: String) -> Result<(), Error> {
            if self.resolution.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"resolution")))?;
            }
            self.resolution = Some(value);
            Ok(())
        }
        fn store_caption(&mut self, value: String) -> Result<(), Error> {
            if self.caption.is_some() {
                Err(ErrorKind::DuplicateElement(RawByteStr::from_slice(b"caption")))?;
            }
            self.caption = Some(value);
            Ok(())
        }
        fn handle_danbooru_tags<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<NegativePromptTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use NegativePromptTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_danbooru_tags(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::DanbooruTags(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_e621_tags<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<NegativePromptTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use NegativePromptTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_e621_tags(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::E621Tags(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_resolution<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<NegativePromptTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use NegativePromptTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_resolution(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Resolution(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
        fn handle_caption<'de>(
            &mut self,
            helper: &mut DeserializeHelper,
            output: DeserializerOutput<'de, String>,
            fallback: &mut Option<NegativePromptTypeDeserializerState>,
        ) -> Result<ElementHandlerOutput<'de>, Error> {
            use NegativePromptTypeDeserializerState as S;
            let DeserializerOutput { artifact, event, allow_any } = output;
            if artifact.is_none() {
                *self.state__ = S::Next__;
                return Ok(ElementHandlerOutput::return_to_root(event, allow_any));
            }
            if let Some(fallback) = fallback.take() {
                self.finish_state(helper, fallback)?;
            }
            match artifact {
                DeserializerArtifact::None => unreachable!(),
                DeserializerArtifact::Data(data) => {
                    self.store_caption(data)?;
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
                DeserializerArtifact::Deserializer(deserializer) => {
                    fallback.get_or_insert(S::Caption(deserializer));
                    *self.state__ = S::Next__;
                    Ok(ElementHandlerOutput::from_event(event, allow_any))
                }
            }
        }
    }
    impl<'de> Deserializer<'de, super::NegativePromptType>
    for NegativePromptTypeDeserializer {
        fn init(
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::NegativePromptType> {
            helper.init_deserializer_from_start_event(event, Self::from_bytes_start)
        }
        fn next(
            mut self,
            helper: &mut DeserializeHelper,
            event: Event<'de>,
        ) -> DeserializerResult<'de, super::NegativePromptType> {
            use NegativePromptTypeDeserializerState as S;
            let mut event = event;
            let mut fallback = None;
            let (event, allow_any) = loop {
                let state = replace(&mut *self.state__, S::Unknown__);
                event = match (state, event) {
                    (S::Unknown__, _) => unreachable!(),
                    (S::DanbooruTags(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_danbooru_tags(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::E621Tags(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_e621_tags(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Resolution(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_resolution(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (S::Caption(deserializer), event) => {
                        let output = deserializer.next(helper, event)?;
                        match self.handle_caption(helper, output, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                    (_, Event::End(_)) => {
                        return Ok(DeserializerOutput {
                            artifact: DeserializerArtifact::Data(self.finish(helper)?),
                            event: DeserializerEvent::None,
                            allow_any: false,
                        });
                    }
                    (state @ (S::Init__ | S::Next__), event) => {
                        fallback.get_or_insert(state);
                        match self.find_suitable(helper, event, &mut fallback)? {
                            ElementHandlerOutput::Continue { event, .. } => event,
                            ElementHandlerOutput::Break { event, allow_any } => {
                                break (event, allow_any);
                            }
                        }
                    }
                };
            };
            if let Some(fallback) = fallback {
                *self.state__ = fallback;
            }
            Ok(DeserializerOutput {
                artifact: DeserializerArtifact::Deserializer(self),
                event,
                allow_any,
            })
        }
        fn finish(
            mut self,
            helper: &mut DeserializeHelper,
        ) -> Result<super::NegativePromptType, Error> {
            let state = replace(
                &mut *self.state__,
                NegativePromptTypeDeserializerState::Unknown__,
            );
            self.finish_state(helper, state)?;
            Ok(super::NegativePromptType {
                danbooru_tags: self.danbooru_tags,
                e621_tags: self.e621_tags,
                resolution: self.resolution,
                caption: self.caption,
            })
        }
    }
}
