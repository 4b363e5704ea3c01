"""The protobuf package `sakuga.system`, generated."""
