"""The texts that users read, in other languages: `locales` takes out translations whose English has changed since.

The front end shows in English what has no translation. English is the nodes' schemas, locales/en/main.json, what the
workflows say and nodes/web/docs/NODE.md. Two marks tell which English a translation was made from: translated_from/,
beside this file, holds the texts of that time, and a translated help page ends with a hash of the English page.
"""

import argparse
import asyncio
import hashlib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from comfyui.in_process import REPOSITORY, load_pack, start_host
from comfyui.workflow import NOTES

LANGUAGES = ("zh", "ja", "ko", "de", "fr", "es", "ru")
HELP_LANGUAGES = ("zh", "ja")
FILES = ("nodeDefs", "main")
ENGLISH = Path("locales", "en")
TRANSLATED_FROM = Path("lab", "checks", "translated_from")
HELP = Path("nodes", "web", "docs")
WORKFLOWS = "emerdiff_workflows"  # of main.json
MARK = re.compile(r"<!-- ([0-9a-f]{12}) -->\s*\Z")
CHANGED, MISSING = "its English has changed", "not translated"

Texts = dict[tuple[str, ...], str]  # by the keys on the way to it


def main() -> None:
    parser = argparse.ArgumentParser(prog="run.py locales", description=__doc__)
    words = "these languages say what the English says now: keep all that they have"
    parser.add_argument("--translated", nargs="+", metavar="LANGUAGE", choices=LANGUAGES, default=[], help=words)
    translated = parser.parse_args().translated
    start_host()
    print("\n".join(bring_up_to_date(REPOSITORY, english_of(REPOSITORY), translated)) or "everything is translated")


def in_english() -> list[str]:
    """What users of other languages do not see in theirs, or see as it was, a line each."""
    start_host()
    return behind(REPOSITORY, english_of(REPOSITORY))


# ---- What is behind, and how it is taken out


def behind(root: Path, english: dict[str, Texts]) -> list[str]:
    """Every translation that is stale or missing."""
    texts = [
        f"{language}: {'.'.join(keys)}: {state}"
        for file in FILES
        for language in LANGUAGES
        for keys, state in text_states(root, language, file, english[file]).items()
    ]
    pages = [
        f"{language}: help page of {node}: {state}"
        for language in HELP_LANGUAGES
        for node in pages_of(root)
        if (state := page_state(root, node, language))
    ]
    return texts + pages


def text_states(root: Path, language: str, file: str, english: Texts) -> dict[tuple[str, ...], str]:
    there, stale = texts_of(root / "locales" / language, file), stale_keys(root, file, english)
    return {keys: CHANGED for keys in there if keys in stale} | {keys: MISSING for keys in english if keys not in there}


def stale_keys(root: Path, file: str, english: Texts) -> set[tuple[str, ...]]:
    """The texts whose English is gone, or another than the one that translations were made from."""
    before = texts_of(root / TRANSLATED_FROM, file)
    return {keys for keys, text in before.items() if english.get(keys) != text}


def bring_up_to_date(root: Path, english: dict[str, Texts], translated: Collection[str]) -> list[str]:
    """Takes out what is stale, but for the languages translated anew; returns what is then behind."""
    for file in FILES:
        stale = stale_keys(root, file, english[file])
        for language in LANGUAGES:
            gone = stale - english[file].keys() if language in translated else stale
            texts = texts_of(root / "locales" / language, file)
            kept = {keys: text for keys, text in texts.items() if keys not in gone}
            write(root / "locales" / language, file, kept, list(english[file]))
        write(root / TRANSLATED_FROM, file, english[file], list(english[file]))
    for language in HELP_LANGUAGES:
        for node in pages_of(root):
            bring_page_up_to_date(root, node, language, language in translated)
    return behind(root, english)


# ---- Help pages


def pages_of(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / HELP).glob("*.md"))


def help_page(root: Path, node: str, language: str) -> Path:
    return root / HELP / node / f"{language}.md"


def page_state(root: Path, node: str, language: str) -> str:
    """Empty where the page says the same as the English one; a page without a mark is an error of its own."""
    page = help_page(root, node, language)
    if not page.exists():
        return MISSING
    found = MARK.search(page.read_text(encoding="utf-8"))
    return CHANGED if found and found[1] != hash_of(root, node) else ""


def bring_page_up_to_date(root: Path, node: str, language: str, translated: bool) -> None:
    page = help_page(root, node, language)
    if translated and page.exists():
        text = MARK.sub("", page.read_text(encoding="utf-8")).rstrip()
        page.write_text(f"{text}\n\n<!-- {hash_of(root, node)} -->\n", encoding="utf-8")
    elif page_state(root, node, language) == CHANGED:
        page.unlink()


def hash_of(root: Path, node: str) -> str:
    return hashlib.sha256((root / HELP / f"{node}.md").read_bytes()).hexdigest()[:12]


# ---- English


def english_of(root: Path) -> dict[str, Texts]:
    return {"nodeDefs": flat(schema_texts()), "main": texts_of(root / ENGLISH, "main") | workflow_texts(root)}


def workflow_texts(root: Path) -> Texts:
    """Notes, titles, labels and groups of the workflows, each by itself: template_texts.js finds them by these."""
    texts: Texts = {}
    for path in sorted((root / "workflows").glob("*.json")):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        texts |= {(WORKFLOWS, text): text for text in texts_in(workflow)}
    return texts


def texts_in(workflow: dict) -> Iterator[str]:
    nodes = workflow["nodes"]
    yield from (titled["title"] for titled in (*nodes, *workflow["groups"]) if titled.get("title"))
    yield from (slot["label"] for node in nodes for slot in node["inputs"] if slot.get("label"))
    yield from (node["widgets_values"][0] for node in nodes if node["type"] in NOTES)


def schema_texts() -> dict:
    """The texts of all nodes that are offered, in the form of nodeDefs.json."""
    nodes = asyncio.run(asyncio.run(load_pack().comfy_entrypoint()).get_node_list())
    infos = [node.GET_NODE_INFO_V1() for node in nodes]
    return {info["name"]: node_texts(info) for info in infos if not info["dev_only"]}


def node_texts(info: dict) -> dict:
    texts = {"display_name": info["display_name"], "description": info["description"]}
    groups = [info["input"].get(group, {}) for group in ("required", "optional")]
    inputs = {name: input_texts(name, *spec) for group in groups for name, spec in group.items()}
    outputs = zip(info["output_name"], info["output_tooltips"], strict=True)
    return texts | {
        "inputs": inputs,
        "outputs": {str(number): {"name": name, "tooltip": tooltip} for number, (name, tooltip) in enumerate(outputs)},
    }


def input_texts(name: str, kind, options: dict) -> dict:
    texts = {"name": name, "tooltip": options["tooltip"]}
    choices = options.get("options", []) if kind == "COMBO" else []
    return texts | ({"options": {choice: choice for choice in choices}} if choices else {})


# ---- Files


def texts_of(folder: Path, file: str) -> Texts:
    path = folder / f"{file}.json"
    return flat(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write(folder: Path, file: str, texts: Texts, order: list[tuple[str, ...]]) -> None:
    """Writes the texts in that order, others at the end."""
    ordered = {keys: texts[keys] for keys in [*order, *texts] if keys in texts}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(nested(ordered), indent=2, ensure_ascii=False)
    (folder / f"{file}.json").write_text(text + "\n", encoding="utf-8")


def flat(texts: dict) -> Texts:
    return dict(_leaves(texts))


def _leaves(texts: dict, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*keys, key))
        else:
            yield (*keys, key), value


def nested(texts: Texts) -> dict:
    made: dict = {}
    for (*keys, last), text in texts.items():
        place = made
        for key in keys:
            place = place.setdefault(key, {})
        place[last] = text
    return made


if __name__ == "__main__":
    main()
