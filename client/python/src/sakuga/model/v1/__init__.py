"""The protobuf package `sakuga.model.v1`, generated."""
