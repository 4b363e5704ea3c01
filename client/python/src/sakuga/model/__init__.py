"""The protobuf package `sakuga.model`, generated."""
