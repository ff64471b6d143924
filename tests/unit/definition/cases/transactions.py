"""Connections and sessions: one for a step, and of the kind that its function can use."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "§6.3: a step with two transactions",
        """
class W(Workflow[P]):
    a = step(with_both).takes(session(AsyncSession), connection())  # <- here
""",
        "step 'a' has 2 transactions, 'session' and 'conn', and its result can commit with one: "
        "leave one connection() or session(…)",
    ),
    Case(
        "§6.3: a sync session in an async step",
        """
class W(Workflow[P]):
    a = step(takes_async).takes(session(Session))  # <- here
""",
        "input 'value' of step 'a': an async step is handed AsyncSession, not Session: "
        "write session(AsyncSession), or make it `def`",
    ),
    Case(
        "§6.3: an async session in a sync step",
        """
class W(Workflow[P]):
    a = step(take).takes(session(AsyncSession))  # <- here
""",
        "input 'value' of step 'a': a sync step is handed Session, not AsyncSession: "
        "write session(Session), or make it `async def`",
    ),
    Case(
        "§6.3: a session of no ORM",
        """
class W(Workflow[P]):
    a = step(take).takes(session(Bank))  # <- here
""",
        "input 'value' of step 'a': Bank is no session of SQLAlchemy: "
        "write session(AsyncSession) or resource(…)",
    ),
    Case(
        "§6.3: a sync connection in an async step",
        """
class W(Workflow[P]):
    a = step(with_sync_connection).takes(connection())  # <- here
""",
        "an async step is handed AsyncConnection, not Connection: "
        "annotate it AsyncConnection, or make it `def`",
    ),
    Case(
        "§6.3: an async connection in a sync step",
        """
class W(Workflow[P]):
    a = step(with_wrong_connection).takes(connection())  # <- here
""",
        "a sync step is handed Connection, not AsyncConnection[Any]: "
        "annotate it Connection, or make it `async def`",
    ),
    Case(
        "§3.4: a connection has no parts",
        """
class W(Workflow[P]):
    a = step(take).takes(
        connection().cursor  # <- here
    )
""",
        "connection is handed over whole: wire it, and use .cursor in the step",
    ),
]
