"""The protobuf package `sakuga.asset.v1`, generated."""
