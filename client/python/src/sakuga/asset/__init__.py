"""The protobuf package `sakuga.asset`, generated."""
