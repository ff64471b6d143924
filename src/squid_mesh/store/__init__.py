"""The database: its schema, its statements, and the committer that groups what runs write.

One statement a file in `sql/`, named by what it does. Lock order, everywhere: run rows by id, then
the rest of a run's rows, which nobody writes without holding the run's row. A flush never waits for
a run's row (`skip locked`), so it can't take part in a deadlock, and whoever holds a run delays
nobody but that run.
"""
