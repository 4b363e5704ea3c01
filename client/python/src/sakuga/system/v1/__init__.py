"""The protobuf package `sakuga.system.v1`, generated."""
