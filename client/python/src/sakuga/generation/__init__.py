"""The protobuf package `sakuga.generation`, generated."""
