"""The protobuf package `sakuga.prompt`, generated."""
