"""What should happen next. Pure: no database, no clock, no random numbers, no waiting.

`states` holds the states and their moves, `graph` a definition as the planner needs it, `planner`
what follows from a step that ended, `retry` whether and when a failure is tried again, `inputs`
what a step is handed, `compatibility` whether loaded code still fits a pinned definition.
"""
