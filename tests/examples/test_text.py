import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.daily_digest.content.text import cut, strip_tags, tidy, units


@pytest.mark.parametrize(
    ("markup", "seen"),
    [
        ("plain", "plain"),
        ("<b>bold</b>ly", "boldly"),
        ("<p>one</p><p>two</p>", "one two"),
        ("one<br/>two", "one two"),
        ("fish &amp; chips &eacute; &#x1F41F;", "fish & chips é 🐟"),
        ("a < b and b > c", "a < b and b > c"),
        ("<script>alert(1)</script><style>p{}</style>left", "left"),
        ("</script>left", "left"),
        ("<![if !supportLists]>Word's<![endif]> own", "Word's own"),
    ],
)
def test_stripped_markup_is_what_a_reader_sees(markup: str, seen: str) -> None:
    assert tidy(strip_tags(markup)) == seen


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        (" two\n\tlines ", "two lines"),
        ("a\x00b\x1bc", "abc"),
        ("half \ud83e a squid", "half \ufffd a squid"),
        ("\ud83e\udd91", "🦑"),
        ("👩\u200d👧 stay together", "👩\u200d👧 stay together"),
    ],
)
def test_tidy_text_can_be_stored(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


@pytest.mark.parametrize(
    ("text", "limit", "left"),
    [
        ("short enough", 12, "short enough"),
        ("one too many", 11, "one too ma…"),
        ("ends at a space", 10, "ends at a…"),
        ("🦑🦑🦑", 6, "🦑🦑🦑"),
        ("🦑🦑🦑", 5, "🦑🦑…"),
        ("🦑🦑🦑", 4, "🦑…"),
        ("ab👩\u200d👧c", 6, "ab…"),
        ("abe\u0301d", 4, "ab…"),
        ("ab👍🏽d", 5, "ab…"),
        ("ab🇩🇰d", 5, "ab…"),
        ("\u0301\u0301\u0301", 2, "…"),
    ],
)
def test_text_is_cut_between_what_is_drawn_as_one(text: str, limit: int, left: str) -> None:
    assert cut(text, limit) == left


@given(text=st.text(), limit=st.integers(min_value=1, max_value=50))
def test_cut_text_fits_and_is_a_beginning(text: str, limit: int) -> None:
    left = cut(text, limit)
    assert units(left) <= limit
    assert left == text or text.startswith(left.removesuffix("…"))


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_the_text_its_tidy_form_is_unicode_on_one_line(text: str) -> None:
    tidied = tidy(strip_tags(text))
    tidied.encode()
    assert tidied.splitlines() in ([], [tidied])
    assert "\0" not in tidied


@given(st.text())
def test_units_are_those_of_utf16(text: str) -> None:
    assert units(text) == len(text.encode("utf-16-le")) // 2
