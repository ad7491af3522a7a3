"""The texts that users read, in other languages: `locales` writes locales/en anew, from the nodes' schemas.

The other languages are translated from there. What has changed in English leaves them, and tests/host/test_locales.py
asks for it until it is translated again. Translated help pages name the English page they were made from by its hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from comfyui.in_process import REPOSITORY, load_pack, start_host

FOLDER = REPOSITORY / "locales"
LANGUAGES = ("zh", "ja", "ko", "de", "fr", "es", "ru")
HELP_LANGUAGES = ("zh", "ja")
HELP = REPOSITORY / "nodes" / "web" / "docs"

Texts = dict[tuple[str, ...], str]  # by the keys on the way to it


def main() -> None:
    start_host()
    english = flat(schema_texts())
    stale = changes(texts_of("en", "nodeDefs"), english)
    write("en", "nodeDefs", nested(english))
    for language in LANGUAGES:
        texts = texts_of(language, "nodeDefs")
        write(language, "nodeDefs", nested({key: texts[key] for key in english if key in texts and key not in stale}))
    print("\n".join(".".join(keys) for keys in sorted(stale)) or "nothing has changed")


def schema_texts() -> dict:
    """The texts of all nodes in English, in the form of nodeDefs.json."""
    nodes = asyncio.run(asyncio.run(load_pack().comfy_entrypoint()).get_node_list())
    infos = [node.GET_NODE_INFO_V1() for node in nodes]
    return {info["name"]: node_texts(info) for info in infos}


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


# ---- Help pages


def help_page(node: str, language: str) -> Path:
    return HELP / node / f"{language}.md"


def translated_from(node: str) -> str:
    """The last line of a translated help page, by which it is known which English page it says the same as."""
    english = (HELP / f"{node}.md").read_bytes()
    return f"<!-- {hashlib.sha256(english).hexdigest()[:12]} -->"


# ---- Files


def path_of(language: str, file: str) -> Path:
    return FOLDER / language / f"{file}.json"


def texts_of(language: str, file: str) -> Texts:
    path = path_of(language, file)
    return flat(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write(language: str, file: str, texts: dict) -> None:
    path = path_of(language, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def changes(before: Texts, now: Texts) -> set[tuple[str, ...]]:
    """The keys that are gone, or whose text is another."""
    return {keys for keys, text in before.items() if now.get(keys) != text}


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
