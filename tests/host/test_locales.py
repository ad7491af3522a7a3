"""The texts in other languages: what is translated is right, and what is not translated fails at a release only."""

import re
import shutil

import pytest

from checks import locales, trade
from checks.locales import HELP, HELP_LANGUAGES, LANGUAGES, help_page, pages_of, texts_of
from comfyui.in_process import REPOSITORY

pytestmark = pytest.mark.once
SENTENCES = ("description", "tooltip")
SYNTAX = set("{}@|")  # to the front end's translations, not text
PLACEHOLDER = re.compile(r"\{\w+\}")
PAGES = [(language, node) for language in HELP_LANGUAGES for node in pages_of(REPOSITORY)]

# What the checks are tried on: two nodes, with one input of the same name, and two texts of the widget.
TOOLTIP = ("Lift", "inputs", "mask", "tooltip")
GONE = ("Load", "inputs", "mask", "tooltip")
CLICK, PICKED = ("emerdiff", "click"), ("emerdiff", "picked")
NODES = {
    (node, *keys): f"{keys[-1]} of {keys[-2]}" if keys[1:] else f"{node} {keys[0]}"
    for node in ("Lift", "Load")
    for keys in (("display_name",), ("inputs", "mask", "name"), ("inputs", "mask", "tooltip"))
}
SMALL = {"nodeDefs": NODES, "main": {CLICK: "Click.", PICKED: "Picked: {selection}"}}


@pytest.fixture(scope="module")
def now():
    """The English of now."""
    return locales.english_of(REPOSITORY)


@pytest.fixture
def root(tmp_path):
    """A folder in which everything of SMALL is translated, help pages too."""
    for language in LANGUAGES:
        for file in locales.FILES:
            texts = {keys: f"{language}: {text}" for keys, text in SMALL[file].items()}
            locales.write(tmp_path / "locales" / language, file, texts, [])
    for path in ("Lift.md", "Load.md", *(f"{node}/{each}.md" for node in ("Lift", "Load") for each in HELP_LANGUAGES)):
        page = tmp_path / HELP / path
        page.parent.mkdir(parents=True, exist_ok=True)
        titles = {f"{each}.md": f"{each}: {page.parent.name} display_name" for each in HELP_LANGUAGES}
        page.write_text(f"# {titles.get(page.name, 'English')}\n\n- `mask`\n")
    locales.bring_up_to_date(tmp_path, SMALL, LANGUAGES)
    return tmp_path


def translated(root, language, file):
    return texts_of(root / "locales" / language, file)


# ---- What is wrong whenever it is


def text_faults(root, language, english):
    """What is wrong with a language's texts; what is stale or missing is not."""
    faults = []
    for file in locales.FILES:
        texts, record = translated(root, language, file), texts_of(root / locales.TRANSLATED_FROM, file)
        unknown = texts.keys() - record.keys()
        faults += [f"there is no text {keys}" for keys in unknown - english[file].keys()]
        faults += [f"new: run lab/run.py locales: {keys}" for keys in unknown & english[file].keys()]
        asked = [keys for keys in texts if file == "main" or keys[-1] in SENTENCES]
        faults += [f"left in English: {keys}" for keys in asked if texts[keys] == record.get(keys)]
        faults += [f"not for the front end: {keys}" for keys in texts if unreadable(texts[keys], record.get(keys, ""))]
    return faults + [f"has several names: {name}" for name in named_twice(translated(root, language, "nodeDefs"))]


def unreadable(text, english):
    placeholders = sorted(PLACEHOLDER.findall(text))
    return (
        placeholders != sorted(PLACEHOLDER.findall(english))
        or SYNTAX & set(PLACEHOLDER.sub("", text))
        or not text.strip()
    )


def named_twice(texts):
    names: dict[str, set[str]] = {}
    for keys, text in texts.items():
        if keys[1:2] == ("inputs",) and keys[-1] == "name":
            names.setdefault(keys[2], set()).add(text)
    return [name for name, found in names.items() if len(found) > 1]


def page_faults(root, language, node):
    """What is wrong with a help page that says it is current; one that is stale or missing is not wrong."""
    state, mark = locales.page_state(root, node, language), f"<!-- {locales.hash_of(root, node)} -->"
    if state == locales.MISSING:
        return []
    page = help_page(root, node, language).read_text(encoding="utf-8")
    if not locales.MARK.search(page):
        return [f"without its mark: end it with {mark}, or run lab/run.py locales --translated {language}"]
    if state == locales.CHANGED:
        return []
    title = translated(root, language, "nodeDefs").get((node, "display_name"), "")
    faults = [] if title in page.splitlines()[0] else ["its title is not the node's"]
    same = counted(page) == counted((root / HELP / f"{node}.md").read_text(encoding="utf-8"))
    return faults if same else [*faults, "it is built otherwise than the English page"]


def counted(page):
    """What a translation keeps: headings by level, code in its place, pictures, rows of tables and items of lists."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [
        re.findall(r"^#+", text, re.MULTILINE),
        sorted(re.findall(r"`[^`\n]+`", text)),
        re.findall(r"\]\(images/\w+\.jpg\)", text),
        ["|" * (line.count("|") - line.count("\\|")) for line in text.splitlines() if line.startswith("|")],
        re.findall(r"^ *(?:-|\d+\.) ", text, re.MULTILINE),
    ]


def all_faults(root, english):
    pages = [(language, node) for language in HELP_LANGUAGES for node in pages_of(root)]
    faults = [fault for language in LANGUAGES for fault in text_faults(root, language, english)]
    return faults + [fault for language, node in pages for fault in page_faults(root, language, node)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_translated_is_right(language, now):
    assert text_faults(REPOSITORY, language, now) == []


@pytest.mark.parametrize("language, node", PAGES)
def test_a_help_page_says_what_the_english_one_says(language, node):
    assert page_faults(REPOSITORY, language, node) == []


@pytest.mark.parametrize("language", HELP_LANGUAGES)
def test_every_translated_help_page_has_an_english_one(language):
    assert {path.parent.name for path in (REPOSITORY / HELP).glob(f"*/{language}.md")} <= set(pages_of(REPOSITORY))


def test_every_node_that_is_offered_has_a_help_page_and_no_other(now):
    assert set(pages_of(REPOSITORY)) == {node for node, *_ in now["nodeDefs"]}


def test_english_is_in_the_nodes_and_for_the_widget_alone_in_a_file(now):
    assert [path.name for path in (REPOSITORY / locales.ENGLISH).iterdir()] == ["main.json"]
    assert not [keys for keys, text in now["main"].items() if SYNTAX & set(PLACEHOLDER.sub("", text))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_workflow_s_note_has_the_same_steps_in_every_language(language):
    for (section, english), text in translated(REPOSITORY, language, "main").items():
        if section == locales.WORKFLOWS:
            steps = [re.findall(r"^\d+\. ", each, re.MULTILINE) for each in (english, text)]
            assert steps[0] == steps[1], text


def test_every_text_of_the_widget_is_used_and_every_used_one_is_there(now):
    scripts = [path.read_text() for path in (REPOSITORY / "nodes" / "web" / "js").glob("*.js")]
    composed = {"summary", "summary_points", "summary_boxes", "summary_both", "linked", "several"}
    said = re.findall(r"say\(([^,)`]*)", "".join(scripts))  # a name, or a choice between two
    used = set(re.findall(r'"(\w+)"', "".join(said))) | composed
    assert {key for section, key in now["main"] if section == "emerdiff"} == used


# ---- What is wrong is found


def translate(root, language, file, texts):
    locales.write(root / "locales" / language, file, translated(root, language, file) | texts, [])


def test_a_translation_that_is_no_json_is_a_fault(root):
    (root / "locales" / "de" / "main.json").write_text("{")
    for asked in (all_faults, locales.behind):
        with pytest.raises(ValueError):
            asked(root, SMALL)


# ---- What is not translated


@pytest.fixture
def changed(root):
    """The English after a tooltip, a text of the widget and a help page were mended, and one text went."""
    (root / HELP / "Lift.md").write_text("# English\n\n- `mask`\n- `strength`\n")
    nodes = {keys: text for keys, text in SMALL["nodeDefs"].items() if keys != GONE}
    return {"nodeDefs": nodes | {TOOLTIP: "Mended."}, "main": SMALL["main"] | {CLICK: "Mended."}}


def test_nothing_is_behind_where_nothing_has_changed(root):
    assert locales.behind(root, SMALL) == [] == all_faults(root, SMALL)
    assert locales.bring_up_to_date(root, SMALL, []) == []


def test_changed_english_is_no_fault_and_is_listed(root, changed):
    assert all_faults(root, changed) == []
    texts = ("Lift.inputs.mask.tooltip", "Load.inputs.mask.tooltip", "emerdiff.click")
    lines = {f"{language}: {text}: {locales.CHANGED}" for language in LANGUAGES for text in texts}
    assert set(locales.behind(root, changed)) == lines | {
        f"{each}: help page of Lift: {locales.CHANGED}" for each in HELP_LANGUAGES
    }


def test_what_is_stale_is_taken_out_and_still_listed(root, changed):
    lines = {
        f"{each}: {text}: {locales.MISSING}"
        for each in LANGUAGES
        for text in ("Lift.inputs.mask.tooltip", "emerdiff.click")
    }
    lines |= {f"{each}: help page of Lift: {locales.MISSING}" for each in HELP_LANGUAGES}
    assert set(locales.bring_up_to_date(root, changed, [])) == lines == set(locales.behind(root, changed))
    assert all_faults(root, changed) == []
    assert set(translated(root, "de", "nodeDefs")) == changed["nodeDefs"].keys() - {TOOLTIP}
    assert set(translated(root, "de", "main")) == {PICKED}
    assert not help_page(root, "Lift", "zh").exists() and help_page(root, "Load", "zh").exists()


def test_languages_translated_anew_are_kept(root, changed):
    translate(root, "zh", "nodeDefs", {TOOLTIP: "anew"})
    help_page(root, "Lift", "zh").write_text("# zh: Lift display_name\n\n- `mask`\n- `strength`\n")
    lines = locales.bring_up_to_date(root, changed, ["zh"])
    assert lines == [line for line in locales.behind(root, changed) if not line.startswith("zh")]
    assert all_faults(root, changed) == []
    assert translated(root, "zh", "nodeDefs")[TOOLTIP] == "anew" and GONE not in translated(root, "zh", "nodeDefs")


def test_a_page_without_its_mark_is_not_taken_out(root):
    help_page(root, "Lift", "zh").write_text("# zh: Lift display_name\n\n- `mask`\n")
    locales.bring_up_to_date(root, SMALL, [])
    assert help_page(root, "Lift", "zh").exists()


def test_a_language_that_is_missing_is_listed(root):
    shutil.rmtree(root / "locales" / "fr")
    assert all_faults(root, SMALL) == []
    assert locales.behind(root, SMALL) == [
        f"fr: {'.'.join(keys)}: {locales.MISSING}" for file in locales.FILES for keys in SMALL[file]
    ]


def test_a_new_text_is_listed_and_its_translation_asks_for_the_english(root):
    new = ("Lift", "inputs", "new", "tooltip")
    english = SMALL | {"nodeDefs": NODES | {new: "A new input."}}
    assert locales.text_states(root, "de", "nodeDefs", english["nodeDefs"]) == {new: locales.MISSING}
    translate(root, "de", "nodeDefs", {new: "Neu."})
    assert [fault.startswith("new: ") for fault in text_faults(root, "de", english)] == [True]
    assert not [line for line in locales.bring_up_to_date(root, english, []) if line.startswith("de")]
    assert translated(root, "de", "nodeDefs")[new] == "Neu." and all_faults(root, english) == []


def test_a_release_fails_of_what_the_other_checks_list(monkeypatch, capsys):
    lines = [f"ko: Lift.inputs.mask.tooltip: {locales.CHANGED}"]
    monkeypatch.setattr(trade, "in_english", lambda: lines)
    assert trade.outcome("translations").startswith("passed")
    assert lines[0] in capsys.readouterr().out
    assert trade.outcome("release").startswith("FAILED: 1 texts")
    assert "translations" in trade.EVERYDAY and "release" not in trade.EVERYDAY
    monkeypatch.setattr(trade, "in_english", list)
    assert trade.outcome("release").startswith("passed")
