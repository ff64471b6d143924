"""The player of pages notices what is wrong with a page, and takes what is right."""

import re
import textwrap
from collections.abc import Generator

import pytest

from tests.database import Databases
from tests.docs.pages import read
from tests.docs.playing import _outside, play

RIGHT = {
    "output": """
        ```python
        print(1 + 1)
        ```
        It prints
        ```
        2
        ```
    """,
    "an ellipsis for what differs": """
        ```python
        print("run 0198 is done")
        print("and", "more")
        ```
        ```text
        run … is done
        …
        ```
    """,
    "lines that differ, and lines that don't": """
        ```python
        for word in ("one", "two", "", "three", "four"):
            print(word)
        ```
        ```text
        one
        …
        three
        …
        ```
    """,
    "an ellipsis for no line": """
        ```python
        print("two")
        ```
        ```text
        …
        two
        ```
    """,
    "output behind a heading is nobody's": """
        ```python
        print(1)
        ```
        ## Next
        ```
        2
        ```
    """,
    "modules, in any order, and a session that uses them": """
        `first.py`
        ```python
        from second import number
        ```
        ```python
        # second.py
        number = 7
        ```
        ```python
        import asyncio
        import first
        await asyncio.sleep(0)
        print(first.number)
        ```
        ```text
        7
        ```
    """,
    "a new version of a module": """
        ```python
        # one.py
        version = 1
        ```
        ```python
        # one.py
        version = 2
        ```
        ```python
        import one
        print(one.version)
        ```
        ```
        2
        ```
    """,
    "an error that is shown": """
        `broken.py`
        ```python
        raise ValueError("no")
        ```
        ```
        ValueError: no
        ```
    """,
    "a program, with a file that isn't Python": """
        `names.txt`
        ```ini
        ada
        ```
        `main.py`
        ```python
        import asyncio

        async def main():
            print(open("names.txt").read(), end="")

        asyncio.run(main())
        ```
        ```
        ada
        ```
    """,
    "a console": """
        ```console
        $ echo one
        one
        $ echo two >&2
        two
        ```
    """,
    "a shell that fails as it should": """
        ```sh exits=3
        exit 3
        ```
    """,
    "a program in the background": """
        ```sh background="up"
        echo up; sleep 100
        ```
    """,
    "a query": """
        ```sql
        create table people (id int, name text);
        insert into people values (1, 'ada'), (2, null);
        select * from people order by id;
        ```
        ```text
         id | name
        ----+------
          1 | ada
          2 |
        (2 rows)
        ```
    """,
    "time that passes": """
        <!-- docs: advance days=2 -->
        ```sql
        select squid_mesh.now() - now() > '47 hours' as later;
        ```
        ```text
         later
        -------
         t
        (1 row)
        ```
    """,
    "what needs something that isn't here": """
        ```python needs="no_such_module"
        import no_such_module
        ```
    """,
    "what a reader has, and isn't shown": """
        <!-- docs: python
        number = 7

        -->
        <!-- docs: sql
        create table had (id int);
        -->
        ```python
        print(number)
        ```
        ```
        7
        ```
        ```sql
        select count(*) from had;
        ```
        ```
         count
        -------
             0
        (1 row)
        ```
    """,
    "a checkout": """
        ```sh in="checkout"
        grep '^name = .squid' pyproject.toml
        ```
        ```
        name = "squid-mesh"
        ```
        ```sh
        ls
        ```
        ```
        ```
    """,
}

WRONG = {
    "another output": (
        """
        ```python
        print(3)
        ```
        ```
        2
        ```
        """,
        "the page says\n\n2\n\nand it writes\n\n3",
    ),
    "a line that doesn't come": (
        """
        ```python
        print("one\\ntwo")
        ```
        ```
        one
        …
        three
        ```
        """,
        "the page says",
    ),
    "what a reader can't have": (
        """
        <!-- docs: python
        1 / 0
        -->
        """,
        "ZeroDivisionError",
    ),
    "an ellipsis isn't all lines": (
        """
        ```python
        print("a b\\nc")
        ```
        ```
        a …
        ```
        """,
        "the page says",
    ),
    "an error that isn't shown": (
        """
        ```python
        1 / 0
        ```
        """,
        "ZeroDivisionError",
    ),
    "another error than is shown": (
        """
        ```python
        1 / 0
        ```
        ```
        ValueError: no
        ```
        """,
        "ZeroDivisionError: division by zero",
    ),
    "an error that doesn't come": (
        """
        `good.py`
        ```python
        pass
        ```
        ```
        ValueError: no
        ```
        """,
        "the page says",
    ),
    "a module that isn't there": (
        """
        `lost.py`
        ```python
        import nowhere
        ```
        """,
        "No module named 'nowhere'",
    ),
    "a module that is broken when its turn comes": (
        """
        `first.py`
        ```python
        from second import nothing
        ```
        `second.py`
        ```python
        number = 7
        ```
        """,
        "cannot import name 'nothing'",
    ),
    "a program that fails": (
        """
        ```sh
        false
        ```
        """,
        "exits with 1",
    ),
    "a program that ends in the background": (
        """
        ```sh background="up"
        echo down
        ```
        """,
        "never wrote 'up'",
    ),
    "a statement that Postgres refuses": (
        """
        ```sql
        insert into nowhere values (1);
        ```
        """,
        'relation "nowhere" does not exist',
    ),
    "a warning": (
        """
        ```python
        import warnings
        warnings.warn("old", DeprecationWarning)
        ```
        """,
        "DeprecationWarning: old",
    ),
    "a process that dies": (
        """
        ```python
        import os
        os._exit(1)
        ```
        """,
        "its process died",
    ),
}


@pytest.fixture(scope="module")
def database(databases: Databases) -> Generator[str]:
    """One for all of these pages."""
    with databases.fresh() as dsn:
        yield dsn


def problems_of(page: str, dsn: str) -> list[str]:
    return play(read(textwrap.dedent(page)), dsn)


@pytest.mark.parametrize("page", RIGHT.values(), ids=RIGHT)
def test_a_right_page_has_no_problem(page: str, database: str) -> None:
    assert problems_of(page, database) == []


@pytest.mark.parametrize(("page", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_page_is_told(page: str, problem: str, database: str) -> None:
    (told,) = problems_of(page, database)
    assert problem in told
    assert re.match(r"page\.md:\d+: |its process", told)


def test_a_checkout_knows_nothing_of_the_make_that_runs_the_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARGS", "-q tests/docs")
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=-q\\ tests/docs")
    assert not {"ARGS", "MAKEFLAGS"} & set(_outside())
