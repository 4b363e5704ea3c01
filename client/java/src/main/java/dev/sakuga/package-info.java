/**
 * Client of Sakuga: anime pictures from structured prompts, over gRPC. {@link dev.sakuga.SakugaClient} has a method for each
 * call; the packages {@code dev.sakuga.prompt.v1}, {@code generation.v1} and {@code system.v1} are generated from the protos.
 */
package dev.sakuga;
