"""The lint of the repository's English: ``python -m tests.language [PATH …]`` prints what it finds.

It reads the pages (outside code and printed output), the docstrings and comments of Python files,
and the string literals of the package, which are its errors, log lines and help.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

REPOSITORY = Path(__file__).parent.parent
LONGEST_SENTENCE, LONGEST_AVERAGE = 35, 25

# Each pattern with its replacement.
BANNED = {
    r"\b(whoever|whence|whom|whosoever)\b": "name the subject",
    r"\bhears?\b|\bheard\b": "returns, gets",
    r"\b(is|are|was|were|be|been|being) told\b|\btells? (of|it|that|them|who|us)\b|\btold of\b": (
        "raises, reports, states"
    ),
    r"(?<!there )\b(is|are|was|were) none\b": "is not a …",
    r"(?<!there )\b(is|are|was|were) no (valid|agent|item|number|table|folder|file|text|key"
    r"|longer one|event|run|migration|manifest|datetime|date|day|name|kind|object|JSON)\b": (
        "is not a …"
    ),
    r", where (it|there|none|nobody|no|the|a|an|one|that|this|they|not)\b": "if",
    r"\bwhere (none|nobody|nothing|not|one is|it is not|there is|there are|set|given)\b": "if",
    r"\bfor ever\b": "indefinitely, permanently",
    r"\bso many\b": "the maximum number of",
    r"\banew\b": "again",
    r"\bas (it|they) (is|are|was|were)(?=[.,;:]|$| and | or | but )": "unchanged",
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\b(go|goes|going|went) on\b": "continue",
    r"\bnobody\b": "no other worker, no caller",
    r"\banswer(s|ed|ing)?\b(?! lost)": "response, respond; return",
    r"\bon (its|their|the) way\b": "in flight",
    r"\bsigns? of life\b": "heartbeat, renewal",
    r"\bin the way\b": "conflicting",
    r"\bdone with\b": "finished",
    r"\bstands?\b(?! for\b)|\bstood\b": "is, is stored",
    r"\bthe house\b": "the layout, the package",
    r"\bhow (it|they) (went|fared)\b|\bbecame of\b": "outcome",
    r"\bof its own accord\b|\bof no use\b|\bin the end\b": "say it plainly",
}
_BANNED = {re.compile(pattern, re.IGNORECASE): use for pattern, use in BANNED.items()}
# Sentences that open with a clause used as a noun, or without a subject.
_OPENING = re.compile(
    r"(What|Of|Those|Who|Whoever|Whose|Where|Wherever|One that|Nothing of|No more than)\b(?!.*\?$)"
)
_NO_SENTENCE_END = re.compile(r"\b(e\.g|i\.e|vs|etc|approx|cf)\.$")


@dataclass(frozen=True)
class Text:
    """A piece of prose: a paragraph, a list item, a table cell, a docstring, a message."""

    path: str
    line: int
    words: str
    kind: str


@dataclass(frozen=True)
class Finding:
    text: Text
    found: str
    use: str

    def __str__(self) -> str:
        return f"{self.text.path}:{self.text.line}: {self.found!r}: {self.use}"


def _sentences(words: str) -> Iterator[str]:
    begun = ""
    for part in re.split(r"(?<=[.!?:])[\"')\]”*]*\s+", words):
        begun = f"{begun} {part}".strip()
        if not _NO_SENTENCE_END.search(begun):
            yield begun
            begun = ""
    if begun:
        yield begun


def findings_of(text: Text) -> Iterator[Finding]:
    """Yield the findings in one piece of prose."""
    for pattern, use in _BANNED.items():
        for found in pattern.finditer(text.words):
            yield Finding(text, found[0], use)
    for sentence in _sentences(text.words):
        if len(sentence.split()) > 2 and (opening := _OPENING.match(sentence)):
            yield Finding(text, f"{sentence[:50]} …", f"name the subject, not '{opening[0]} …'")
        if text.kind == "page" and len(sentence.split()) > LONGEST_SENTENCE:
            yield Finding(text, f"{sentence[:50]} …", f"{len(sentence.split())} words; split it")


_MARKDOWN = MarkdownIt("commonmark").enable("table")
_DIRECTIVE = re.compile(r"^(:{3,}|:[a-z-]+:)")


def page_texts(path: str, page: str) -> Iterator[Text]:
    """Yield the paragraphs, headings and table cells of a page of Markdown."""
    for token in _MARKDOWN.parse(page):
        if token.type == "inline" and token.map is not None:
            words = "".join(map(_inline, token.children or ()))
            if words.strip():
                yield Text(path, token.map[0] + 1, " ".join(words.split()), "page")


def _inline(token: Token) -> str:
    if token.type == "code_inline":
        return "CODE"
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return token.content if token.type == "text" and not _DIRECTIVE.match(token.content) else ""


_CODE = re.compile(r"(`+)(?:(?!\1).)+?\1")
_ADDRESS = re.compile(r"https?://\S+")
_ITEM = re.compile(r"\s+(\*?\w+|[-*]|``.+?``):? ")
_EXAMPLE = re.compile(r"\s*(>>>|\.\. )|.*::$")
_NO_COMMENT = re.compile(r"#( noqa|!| type:)")


def _prose(text: str) -> str:
    return _ADDRESS.sub("", _CODE.sub("CODE", " ".join(text.split())))


def python_texts(path: str, source: str, *, literals: bool) -> Iterator[Text]:
    """Yield docstrings, comments, test names, and the string literals of messages if asked to."""
    tree = ast.parse(source)
    docstrings = {
        id(each.value): each.value
        for node in ast.walk(tree)
        for each in _body(node)
        if isinstance(each, ast.Expr)
        and isinstance(each.value, ast.Constant)
        and isinstance(each.value.value, str)
    }
    for node in docstrings.values():
        yield from _docstring(path, node)
    if literals:
        yield from _literals(path, tree, set(docstrings))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
            words = function.name.removeprefix("test_").replace("_", " ").capitalize()
            yield Text(path, function.lineno, words, "test name")
    yield from _comments(path, source)


def _body(node: ast.AST) -> list[ast.stmt]:
    body = getattr(node, "body", None)
    return body if isinstance(body, list) else []


def _docstring(path: str, node: ast.Constant) -> Iterator[Text]:
    block: list[str] = []
    at, example = node.lineno, False
    for number, line in enumerate([*str(node.value).splitlines(), ""], node.lineno):
        if block and (not line.strip() or _ITEM.match(line)):
            yield Text(path, at, _prose(" ".join(block)), "docstring")
            block = []
        if _EXAMPLE.match(line):
            example = True
        elif line.strip() and not line.startswith("        "):
            example = False
        if line.strip() and not example:
            at = at if block else number
            block.append(re.sub(r"^(\*?\w+): ", "", line.strip()))


def _literals(path: str, tree: ast.AST, docstrings: set[int]) -> Iterator[Text]:
    parts = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for each in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            words = "".join(
                str(each.value) if isinstance(each, ast.Constant) else "CODE"
                for each in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in docstrings | parts:
            words = node.value if isinstance(node.value, str) else ""
        else:
            continue
        if " " in words.strip():
            yield Text(path, node.lineno, _prose(words), "literal")


def _comments(path: str, source: str) -> Iterator[Text]:
    comment: list[str] = []
    at = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not _NO_COMMENT.match(token.string):
            if comment and token.start[0] != last + 1:
                yield Text(path, at, _prose(" ".join(comment)), "comment")
                comment = []
            at = at if comment else token.start[0]
            comment.append(token.string.lstrip("#: ").partition("  #")[0])
            last = token.start[0]
    if comment:
        yield Text(path, at, _prose(" ".join(comment)), "comment")


def texts(paths: list[Path]) -> Iterator[Text]:
    """Yield the prose of files, and of the files in folders."""
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            name = str(file.resolve().relative_to(REPOSITORY))
            # Migrations are pinned by their checksums.
            if "migrations/versions/" in name:
                continue
            if file.suffix == ".md":
                yield from page_texts(name, file.read_text())
            elif file.suffix in {".py", ".pyi"} and "__pycache__" not in name:
                package = not name.startswith(("tests/", "benchmarks/"))
                yield from python_texts(name, file.read_text(), literals=package)


def averages(found: list[Text]) -> dict[str, float]:
    """Return the average number of words in a sentence of each page."""
    counts: dict[str, list[int]] = {}
    for text in found:
        if text.kind == "page":
            counts.setdefault(text.path, []).extend(
                len(sentence.split()) for sentence in _sentences(text.words)
            )
    return {path: sum(lengths) / len(lengths) for path, lengths in counts.items()}


def everything() -> list[Path]:
    """Return the files and folders that the lint reads."""
    return [
        *(
            REPOSITORY / name
            for name in ("quill_models", "docs", "tests", "benchmarks", "migrations")
        ),
        *REPOSITORY.glob("*.md"),
    ]


if __name__ == "__main__":
    given = [Path(each).resolve() for each in sys.argv[1:]] or everything()
    prose = list(texts(given))
    for text in prose:
        for finding in findings_of(text):
            sys.stdout.write(f"{finding}\n")
    for path, average in averages(prose).items():
        if average > LONGEST_AVERAGE:
            sys.stdout.write(f"{path}: {average:.1f} words a sentence on average\n")
