"""The texts in other languages: nothing is missing, stale or left in English, and English is what the schemas say."""

import re

import pytest

from checks.locales import (
    HELP,
    HELP_LANGUAGES,
    LANGUAGES,
    changes,
    flat,
    help_page,
    nested,
    schema_texts,
    texts_of,
    translated_from,
)
from comfyui.in_process import REPOSITORY

pytestmark = pytest.mark.once
SENTENCES = ("description", "tooltip")
SYNTAX = set("{}@|")  # to the front end's translations, not text
PAGES = sorted(path.stem for path in HELP.glob("*.md"))


def used_in_scripts() -> set[str]:
    """The keys that the widget's scripts ask for, or could."""
    scripts = [path.read_text() for path in (REPOSITORY / "nodes" / "web" / "js").glob("*.js")]
    return set(re.findall(r'say\("(\w+)"', "".join(scripts)))


def counted(page: str) -> list[list[str]]:
    """What a translation keeps: headings by level, code in its place, pictures, rows of tables and items of lists."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [
        re.findall(r"^#+", text, re.MULTILINE),
        sorted(re.findall(r"`[^`\n]+`", text)),
        re.findall(r"\]\(images/\w+\.jpg\)", text),
        ["|" * (line.count("|") - line.count("\\|")) for line in text.splitlines() if line.startswith("|")],
        re.findall(r"^ *(?:-|\d+\.) ", text, re.MULTILINE),
    ]


def test_what_changed_is_told_apart():
    before = {"a": {"x": "one", "y": "two"}, "b": "three"}
    assert nested(flat(before)) == before
    assert changes(flat(before), flat({"a": {"x": "one", "y": "2"}, "c": "new"})) == {("a", "y"), ("b",)}


def test_english_is_what_the_schemas_say():
    assert texts_of("en", "nodeDefs") == flat(schema_texts()), "run lab/run.py locales"


def test_every_text_of_the_widget_is_used_and_every_used_one_is_there():
    english = {key for _, key in texts_of("en", "main")}
    composed = {"summary", "summary_points", "summary_boxes", "summary_both", "linked", "several"}
    assert english == used_in_scripts() | composed


@pytest.mark.parametrize("file", ["nodeDefs", "main"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_or_stale(language, file):
    assert set(texts_of(language, file)) == set(texts_of("en", file))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_left_in_english(language):
    english, texts = texts_of("en", "nodeDefs"), texts_of(language, "nodeDefs")
    assert not [keys for keys, text in texts.items() if keys[-1] in SENTENCES and text == english[keys]]
    english, texts = texts_of("en", "main"), texts_of(language, "main")
    assert not [keys for keys, text in texts.items() if text == english[keys]]


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_the_front_end_can_read_the_texts(language):
    assert not [keys for keys, text in texts_of(language, "nodeDefs").items() if SYNTAX & set(text) or not text.strip()]
    for keys, text in texts_of(language, "main").items():
        placeholders = re.compile(r"\{\w+\}")
        assert sorted(placeholders.findall(text)) == sorted(placeholders.findall(texts_of("en", "main")[keys])), keys
        assert not SYNTAX & set(placeholders.sub("", text)), keys


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_input_has_one_name_wherever_it_occurs(language):
    names: dict[str, set[str]] = {}
    for keys, text in texts_of(language, "nodeDefs").items():
        if keys[1:2] == ("inputs",) and keys[-1] == "name":
            names.setdefault(keys[2], set()).add(text)
    assert not {name: found for name, found in names.items() if len(found) > 1}


@pytest.mark.parametrize("language", HELP_LANGUAGES)
@pytest.mark.parametrize("node", PAGES)
def test_a_help_page_says_what_the_english_one_says(node, language):
    page = help_page(node, language).read_text(encoding="utf-8")
    assert page.rstrip().endswith(translated_from(node)), f"translate it anew, then end it with {translated_from(node)}"
    assert counted(page) == counted((HELP / f"{node}.md").read_text(encoding="utf-8"))
    assert texts_of(language, "nodeDefs")[(node, "display_name")] in page.splitlines()[0]
