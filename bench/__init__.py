"""Measurements, on an embedded Postgres with fsync on. Never part of the tests."""
