"""How Chinese becomes search terms.

Names (agency, service, item) are cut into single characters and bigrams, because a word list knows few
agency names: dictionary words find a two-character piece of such a name less than half of the time, bigrams
always. Descriptions are cut into dictionary words, which keeps the index small. Synonyms and pinyin widen a
query; both are spelt out here and nowhere else.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

_CHINESE: Final = r"[\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
_PARTS: Final = re.compile(rf"{_CHINESE}+|[a-z0-9]+")
_RUN: Final = re.compile(rf"{_CHINESE}+")
_LETTERS_OR_DIGITS: Final = re.compile(r"[a-z]+|[0-9]+")
#: Most terms of one query and most ways to write one of them.
TERMS_LIMIT: Final = 16
VARIANTS_LIMIT: Final = 8


def normalise(text: str) -> str:
    """Compatibility forms unified, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def compact(text: str) -> str:
    """Only the characters and words of ``text``, so that brackets and spaces do not keep a phrase apart."""
    return "".join(_PARTS.findall(normalise(text)))


def terms(text: str) -> list[str]:
    """The terms of a query, all of which must match: Chinese runs and Latin words, each once."""
    return list(dict.fromkeys(_PARTS.findall(normalise(text))))[:TERMS_LIMIT]


def is_chinese(term: str) -> bool:
    return _RUN.match(term) is not None


def grams(run: str) -> list[str]:
    """The index terms that a Chinese run implies: itself if one character, else its bigrams."""
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


def name_terms(name: str) -> set[str]:
    """Index terms of a name: characters, bigrams, Latin words and their letter and digit parts."""
    found = _latin(name)
    for run in _RUN.findall(compact(name)):
        found.update(run)
        found.update(grams(run))
    return found


def text_terms(text: str) -> set[str]:
    """Index terms of a description: dictionary words, the words inside them, Latin words."""
    found = _latin(text)
    for run in _RUN.findall(normalise(text)):
        for word in pieces(run):
            found.add(word)
            found.update(inner_words(word))
    return found


def _latin(text: str) -> set[str]:
    found: set[str] = set()
    for word in _PARTS.findall(normalise(text)):
        if not is_chinese(word):
            found.add(word[:64])
            found.update(part[:64] for part in _LETTERS_OR_DIGITS.findall(word))
    return found


# Dictionary words ------------------------------------------------------------------------------------------

_tokenizer: Any = None
_loading = threading.Lock()
_words: set[str] = set()


def load_words(words: Iterable[str]) -> None:
    """Teach the cutter names of the catalogue, so that they stay whole; long ones would hide their parts."""
    fresh = {word for word in map(compact, words) if 2 <= len(word) <= 8 and _RUN.fullmatch(word)} - _words
    _words.update(fresh)
    if _tokenizer is not None:
        for word in fresh:
            _tokenizer.add_word(word)


def warm_up() -> None:
    """Load the dictionary (about a second and 60 MB); call before forking and before the first request."""
    global _tokenizer
    with _loading:
        if _tokenizer is not None:
            return
        # The package's sources carry escapes that newer Pythons warn about, and it may import a deprecated one.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import jieba
        cutter = jieba.Tokenizer()
        # Read directly: its own loader trusts a cache file in the world-writable temporary folder.
        cutter.FREQ, cutter.total = cutter.gen_pfdict((files("jieba") / "dict.txt").open("rb"))
        cutter.initialized = True
        for word in _words:
            cutter.add_word(word)
        _tokenizer = cutter


def _cutter() -> Any:
    if _tokenizer is None:
        warm_up()
    return _tokenizer


def pieces(run: str) -> list[str]:
    """The dictionary words of a Chinese run; neighbouring unknown characters stay together, lone ones go.

    Guessing of new words is off, because a guess depends on its surroundings and would differ between a
    description and a query.
    """
    found: list[str] = []
    unknown = ""
    for word in _cutter().cut(run, HMM=False):
        if len(word) == 1:
            unknown += word
            continue
        if len(unknown) > 1:
            found.append(unknown)
        unknown = ""
        found.append(word)
    if len(unknown) > 1:
        found.append(unknown)
    return found


def inner_words(word: str) -> list[str]:
    """Dictionary words strictly inside ``word``; bigrams where it is not a word itself."""
    if len(word) < 3:
        return []
    known = _cutter().FREQ
    if not known.get(word):
        return grams(word)
    size = len(word)
    parts = (word[i:j] for i in range(size) for j in range(i + 2, size + 1) if j - i < size)
    return [part for part in parts if known.get(part)]


# Synonyms --------------------------------------------------------------------------------------------------

_synonyms: dict[str, list[str]] = {}


def load_synonyms(pairs: Iterable[tuple[str, str]]) -> None:
    """Add pairs of short and full form, e.g. 环评 → 环境影响评价; each form then also finds the other."""
    for short, full in pairs:
        one, other = compact(short), compact(full)
        if not one or not other or one == other:
            continue
        for source, target in ((one, other), (other, one)):
            forms = _synonyms.setdefault(source, [])
            if target not in forms:
                forms.append(target)
        load_words((one, other))
    variants.cache_clear()


@lru_cache(maxsize=4096)
def variants(term: str) -> tuple[str, ...]:
    """``term`` and the ways to write it with a synonym in place, at most :data:`VARIANTS_LIMIT`."""
    found = dict.fromkeys([term])
    # Longest first, so that a full form is not torn apart by a shorter one inside it.
    for source in sorted((s for s in _synonyms if s in term), key=len, reverse=True):
        for target in _synonyms[source]:
            if target not in term:
                found[term.replace(source, target)] = None
    return tuple(found)[:VARIANTS_LIMIT]


# Pinyin ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=65536)
def pinyin(name: str) -> tuple[str, str]:
    """Initials and space-separated syllables of a name: 环评 → ("hp", "huan ping"); Latin words stay."""
    from pypinyin import lazy_pinyin

    initials: list[str] = []
    syllables: list[str] = []
    for part in _PARTS.findall(normalise(name)):
        if is_chinese(part):
            read = [syllable for syllable in lazy_pinyin(part) if syllable.isascii()]
            initials.extend(syllable[0] for syllable in read)
            syllables.extend(read)
        else:
            initials.append(part)
            syllables.append(part)
    return "".join(initials), " ".join(syllables)
