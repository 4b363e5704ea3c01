"""The protobuf package `sakuga.generation.v1`, generated."""
