package dev.sakuga;

/**
 * One field of a request that is wrong.
 *
 * @param field the field, such as {@code sampling.steps}, or a place in the prompt, such as {@code character_2/appearance}
 * @param description what is wrong with it
 * @param reason the rule that it breaks, such as {@code unknown-element}; may be empty
 */
public record Violation(String field, String description, String reason) {}
