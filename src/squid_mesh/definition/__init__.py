"""What an author declares, as data. Pure: reads no clock, opens nothing, runs nothing.

A workflow class is read once, when its body ends (`workflow`), compiled into a `spec`, and
validated as a whole (`validation`). From then on every other package reads only the spec; `actions`
and `values` tie it back to the functions and types of the loaded code.
"""
