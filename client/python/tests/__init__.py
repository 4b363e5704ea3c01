"""Tests of the package against a live server."""
