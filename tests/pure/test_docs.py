"""README, guides and help pages: short, readable, with links that hold, and without tables that a command writes."""

import ast
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

import run
from measure.log import page_head

ROOT = Path(__file__).resolve().parents[2]
HELP = ROOT / "nodes" / "web" / "docs"  # the front end takes links of translated pages from here, too
BLOB = "https://github.com/emerdiff/ComfyUI-EmerDiff/blob/main/"
REFERENCES = {"architecture.md", "compatibility.md"}  # to look things up in
GUIDES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in REFERENCES)
READ = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MEASURED = sorted((ROOT / "docs" / "measured").glob("*.md"))
HELP_PAGES = sorted(HELP.glob("*.md"))
MOST_WORDS, MOST_WORDS_OF_GUIDES, MOST_WORDS_OF_HELP = 1000, 8000, 350
LONGEST_SENTENCE, LEAST_EASE = 11, 70  # means over a page


def tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in (ROOT / name for name in found.splitlines()) if path.exists()]


def words(text: str) -> list[str]:
    return re.findall(r"\S*\w\S*", re.sub(r"<[^>]+>", "", text))


def sentences(text: str) -> list[list[str]]:
    """The words of every sentence, without code, tables, headings and pictures."""
    text = re.sub(r"```.*?```|<[^>]+>|!\[[^\]]*\]\([^)]*\)", "", text, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", text))
    lines = ["" if re.match(r"\s*[|#]|    ", line) else line for line in text.splitlines()]
    parts = re.split(r"[.!?:](?:\s|$)|\n\s*(?:\n|[-*] |\d\. )", "\n".join(lines))
    return [found for found in (re.findall(r"[A-Za-z][A-Za-z'-]*", part) for part in parts) if found]


def syllables(word: str) -> int:
    return max(1, len(re.findall(r"[aeiouy]+", re.sub("e$", "", word.lower()))))


def ease(found: list[list[str]]) -> tuple[float, float]:
    """Words in a sentence, and Flesch's reading ease."""
    every = [word for sentence in found for word in sentence]
    length = len(every) / len(found)
    return length, 206.835 - 1.015 * length - 84.6 * sum(map(syllables, every)) / len(every)


def test_the_readme_is_read_in_five_minutes():
    assert len(words((ROOT / "README.md").read_text())) <= MOST_WORDS


@pytest.mark.parametrize("path", HELP_PAGES, ids=lambda path: path.stem)
def test_a_help_page_is_short_before_its_details(path):
    assert len(words(path.read_text().split("## Details")[0])) <= MOST_WORDS_OF_HELP


def test_the_guides_are_short():
    assert sum(len(words(path.read_text())) for path in GUIDES) <= MOST_WORDS_OF_GUIDES


@pytest.mark.parametrize("path", READ + HELP_PAGES, ids=lambda path: path.name)
def test_a_page_is_readable(path):
    length, flesch = ease(sentences(path.read_text()))
    assert length <= LONGEST_SENTENCE and flesch >= LEAST_EASE, f"{length:.1f} words a sentence, ease {flesch:.1f}"


@pytest.mark.parametrize("path", READ, ids=lambda path: path.name)
def test_a_page_has_no_line_that_a_command_wrote(path):
    written = {line for page in MEASURED for line in page.read_text().splitlines() if re.match(r"\|.*\d", line)}
    lines = path.read_text().splitlines()
    assert not written & set(lines) and not [line for line in lines if line.startswith("|") and "+-" in line]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_a_measured_page_is_a_commands(path):
    module = ROOT / "lab" / f"{run.SCRIPTS[path.stem].module.replace('.', '/')}.py"
    description = ast.get_docstring(ast.parse(module.read_text()))
    assert path.read_text().startswith(page_head(path.stem, description))


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_hold(path):
    text, base = path.read_text(), HELP if HELP in path.parents else path.parent
    named = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in named:
        inside = link.removeprefix(BLOB)
        if inside == link and re.match("https?:", link):
            continue
        name, _, anchor = inside.partition("#")
        target = (ROOT if inside != link else base) / unquote(name) if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_pages_that_code_and_texts_name_exist():
    for path in tracked("*.md", "*.py", "*.json", "*.yml", "*.toml"):
        named = re.findall(r"(?<![\w/])docs/[a-z_/]{3,}\.md", path.read_text())
        assert [name for name in named if not (ROOT / name).exists()] == [], path
