"""What the migrations make, as text: from Postgres' catalogue, without what differs by version.

`python -m tests.migrations.catalogue` writes `schema.txt` anew, after a migration was added.
"""

from pathlib import Path
from typing import LiteralString

import psycopg

from tests import database

FILE = Path(__file__).with_name("schema.txt")

RELATIONS: LiteralString = """
select c.relname,
       case c.relkind when 'r' then 'table' when 'v' then 'view' when 'S' then 'sequence' end
         || coalesce(' with ' || array_to_string(c.reloptions, ', '), '')
from pg_class c
where c.relnamespace = 'squid_mesh'::regnamespace and c.relkind in ('r', 'v')
"""

COLUMNS: LiteralString = """
select c.relname, '  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || case when a.attnotnull then ' not null' else '' end
       || case a.attidentity when 'a' then ' generated always as identity' else '' end
       || case a.attgenerated when 's' then ' generated always as' else '' end
       || coalesce(' ' || case a.attgenerated when '' then 'default ' else '' end
                   || regexp_replace(pg_get_expr(d.adbin, d.adrelid), '\\s+', ' ', 'g'), '')
from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'squid_mesh'::regnamespace and c.relkind in ('r', 'v')
order by c.relname, a.attnum
"""

# Postgres 18 names the NOT NULL of each column; the columns say it already.
CONSTRAINTS: LiteralString = """
select c.relname, '  constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.connamespace = 'squid_mesh'::regnamespace and k.contype <> 'n'
order by c.relname, k.conname
"""

INDEXES: LiteralString = """
select tablename, '  ' || indexdef from pg_indexes
where schemaname = 'squid_mesh' order by tablename, indexname
"""

VIEWS: LiteralString = """
select c.relname, regexp_replace(pg_get_viewdef(c.oid), '\\s+', ' ', 'g')
from pg_class c where c.relnamespace = 'squid_mesh'::regnamespace and c.relkind = 'v'
"""

FUNCTIONS: LiteralString = """
select '', pg_get_functiondef(oid) from pg_proc where pronamespace = 'squid_mesh'::regnamespace
order by proname
"""


def dump(dsn: str) -> str:
    """The schema of a database, relation by relation."""
    with psycopg.connect(dsn) as connection:

        def about(query: LiteralString) -> list[tuple[str, str]]:
            return connection.execute(query).fetchall()

        lines: list[str] = []
        for name, kind in sorted(about(RELATIONS)):
            lines += ["", f"{name}: {kind}"]
            for query in (COLUMNS, CONSTRAINTS, INDEXES):
                lines += [line for relation, line in about(query) if relation == name]
            lines += [f"  as{line}" for relation, line in about(VIEWS) if relation == name]
        lines += [f"\n{text.rstrip()}" for _, text in about(FUNCTIONS)]
    return "\n".join(lines).lstrip() + "\n"


def main() -> None:
    with (
        database.server() as server,
        database.databases(server) as databases,
        databases.fresh() as dsn,
    ):
        FILE.write_text(dump(dsn), encoding="utf-8")


if __name__ == "__main__":
    main()
