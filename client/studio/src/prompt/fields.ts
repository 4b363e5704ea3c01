/** The elements of the prompt language, in their canonical order; `schema/prompt.xsd` defines them. */

/** The elements of a character with tags; `n` and `gender` come before them. */
export const CHARACTER_TAGS = [
  "appearance",
  "clothing",
  "body_type",
  "expression",
  "action",
  "interaction",
  "position",
] as const;

/** The elements of `<general_tags>`. */
export const GENERAL_TAGS = [
  "count",
  "style",
  "artists",
  "background",
  "environment",
  "perspective",
  "atmosphere",
  "lighting",
  "quality",
  "resolution",
  "objects",
  "other",
] as const;

export type CharacterTag = (typeof CHARACTER_TAGS)[number];
export type GeneralTag = (typeof GENERAL_TAGS)[number];

/** The order in which the server writes the elements of each block. */
export const CHARACTER_ORDER: readonly string[] = ["n", "gender", ...CHARACTER_TAGS];
export const GENERAL_ORDER: readonly string[] = [
  "count",
  "artists",
  "style",
  "background",
  "environment",
  "perspective",
  "atmosphere",
  "lighting",
  "quality",
  "resolution",
  "objects",
  "other",
];

/** The values of `<gender>`. */
export const GENDERS = ["1girl", "1boy", "1other"] as const;

/** The most characters that a prompt may have. */
export const CHARACTERS_MAX = 16;

/** Whether an element holds tags that can be completed. */
export function isTagElement(name: string): name is CharacterTag | GeneralTag {
  return Object.hasOwn(SUGGESTIONS, name);
}

/** Tags that are offered if the model does not name those of its training. Every other word can be typed as well. */
export const SUGGESTIONS: Readonly<Record<CharacterTag | GeneralTag, readonly string[]>> = {
  appearance: [
    "long_hair", "short_hair", "bob_cut", "twintails", "ponytail", "blue_hair", "pink_hair", "silver_hair", "black_hair",
    "blonde_hair", "red_hair", "green_hair", "purple_hair", "brown_hair", "blue_eyes", "red_eyes", "green_eyes",
    "purple_eyes", "yellow_eyes", "brown_eyes", "cat_ears", "fox_ears", "ahoge", "freckles", "dark_skin",
  ],
  clothing: [
    "serafuku", "school_uniform", "dress", "hoodie", "shirt", "kimono", "sweater", "pleated_skirt", "hair_bow",
    "hair_ribbon", "glasses", "hat", "beret", "scarf", "thighhighs", "gloves",
  ],
  body_type: ["chibi", "petite", "tall", "muscular"],
  expression: ["smile", "open_mouth", "closed_mouth", "blush", "angry", "sad", "closed_eyes", "one_eye_closed", "surprised"],
  action: ["standing", "sitting", "walking", "running", "reading", "looking_at_viewer", "holding_umbrella", "waving"],
  interaction: ["holding_hands", "hug", "looking_at_another", "back-to-back"],
  position: ["left", "center_left", "center", "center_right", "right"],
  count: ["1girl", "1boy", "2girls", "2boys", "3girls", "1girl, 1boy", "solo", "multiple_girls", "no_humans"],
  style: ["anime_style", "flat_color", "watercolor_(medium)", "sketch", "chibi", "pixel_art", "monochrome"],
  artists: [],
  background: ["simple_background", "white_background", "cherry_blossoms", "night_sky", "city_lights", "bookshelf"],
  environment: ["outdoors", "indoors", "classroom", "library", "forest", "beach", "street", "rain", "snow", "night"],
  perspective: ["full_body", "upper_body", "portrait", "from_above", "from_below", "from_side", "straight-on", "dutch_angle"],
  atmosphere: ["peaceful", "cozy", "nostalgic", "dramatic", "mysterious"],
  lighting: ["soft_lighting", "warm_lighting", "sunlight", "sunset", "backlighting", "light_rays", "moonlight"],
  quality: ["masterpiece", "best_quality", "very_aesthetic"],
  resolution: ["max_high_resolution", "high_resolution"],
  objects: ["umbrella", "open_book", "cup", "lantern", "street_lamp", "petals"],
  other: ["height_difference", "alternate_costume"],
};
