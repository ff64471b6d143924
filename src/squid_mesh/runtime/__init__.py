"""The shell around the pure engine: starting runs, driving them, and getting over what breaks.

Everything has one shape: load, decide (`engine`), write guarded, tell. A step's own code runs
between two such writes and never inside one.
"""
