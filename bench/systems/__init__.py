"""The systems that are compared: each a module with `measure(dsn, load)`, run in its own process.

Each is used as its own documentation recommends for speed, with its history on.
"""
