"""The protobuf package `sakuga.prompt.v1`, generated."""
