"""How Chinese becomes search terms (A4)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.search import text


@pytest.fixture(autouse=True)
def _own_synonyms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(text, "_synonyms", {})
    text.variants.cache_clear()
    yield
    text.variants.cache_clear()


def test_full_width_and_case_make_no_difference() -> None:
    assert text.normalise("ＢＩＭ　技术　") == "bim 技术"


def test_brackets_do_not_keep_a_phrase_apart() -> None:
    assert text.compact("环评（报告书）编制") == "环评报告书编制"


def test_a_query_becomes_runs_and_words_each_once() -> None:
    assert text.terms("BIM技术 GB-50016，技术") == ["bim", "技术", "gb", "50016"]


def test_a_name_is_findable_by_each_character_and_each_pair() -> None:
    assert text.name_terms("蓝天BIM2") == {"蓝", "天", "蓝天", "bim2", "bim", "2"}


def test_a_description_is_cut_into_words_without_guesses() -> None:
    found = text.text_terms("编制环境影响报告书")
    assert {"编制", "环境", "影响", "报告书", "报告"} <= found
    assert "境影" not in found
    assert text.pieces("编制沐禾宏旭报告") == ["编制", "沐禾宏旭", "报告"]


def test_catalogue_words_stay_whole_and_their_parts_stay_findable() -> None:
    text.load_words(["防洪影响评价"])
    assert text.pieces("防洪影响评价") == ["防洪影响评价"]
    assert {"防洪", "影响", "评价"} <= text.text_terms("防洪影响评价")


def test_pinyin_gives_initials_and_syllables_and_knows_readings_by_word() -> None:
    assert text.pinyin("环境影响评价") == ("hjyxpj", "huan jing ying xiang ping jia")
    assert text.pinyin("重庆BIM咨询") == ("cqbimzx", "chong qing bim zi xun")


def test_synonyms_work_both_ways_and_inside_a_longer_term() -> None:
    text.load_synonyms([("环评", "环境影响评价")])
    assert text.variants("环评报告") == ("环评报告", "环境影响评价报告")
    assert text.variants("环境影响评价") == ("环境影响评价", "环评")


def test_a_short_form_inside_its_full_form_is_not_written_twice() -> None:
    text.load_synonyms([("可研", "可研报告")])
    assert text.variants("可研报告") == ("可研报告",)


def test_loading_the_dictionary_gives_no_warning_and_leaves_no_file(tmp_path: Path) -> None:
    """Uncompiled sources of the dictionary package warn on some Pythons; its loader writes a cache for all to change."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            "from kernel.search import text; text.warm_up(); print(text.pieces('编制报告书'))",
        ],
        env={"PYTHONPYCACHEPREFIX": f"{tmp_path}/compiled", "TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "['编制', '报告书']", done.stderr
    assert not list(tmp_path.glob("*.cache"))
