"""The search engine alone, without a database (A4)."""

from __future__ import annotations

import random
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kernel.search import text, whoosh_engine
from kernel.search.protocol import (
    Document,
    DropHint,
    IndexNotPrivate,
    Kind,
    QueryTooLong,
    RebuildRunning,
    UnknownCriterion,
)
from kernel.search.whoosh_engine import WhooshEngine

KIND = Kind("listing", lambda keys: [], lambda: iter(()), ("region", "grade"), ("fee", "days"))
MakeEngine = Callable[[Sequence[Document]], WhooshEngine]


def listing(key: str, title: str, **more: Any) -> Document:
    return Document(key=key, title=title, **more)


def nothing(keys: list[str]) -> list[Document]:
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "listing"


@pytest.fixture
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeEngine]:
    monkeypatch.setattr(text, "_synonyms", {})
    text.variants.cache_clear()
    engines: list[WhooshEngine] = []

    def build(documents: Sequence[Document] = ()) -> WhooshEngine:
        engine = WhooshEngine(folder, KIND)
        engines.append(engine)
        if documents:
            engine.update(documents)
        return engine

    yield build
    text.variants.cache_clear()
    for engine in engines:
        engine.close()


def agency_names(count: int) -> list[str]:
    chance = random.Random(7)
    places = ["哈尔滨", "盐津", "乌海", "上海", "唐山", "呼兰", "双城"]
    characters = "蓝天宏远中诚华信恒通建业金诺瑞丰博大安泰正源鼎盛星岭江河旭冉沐禾"
    trades = ["环境科技", "工程咨询", "测绘", "地质勘察", "检测技术", "安全评价", "水利设计"]
    forms = ["有限公司", "有限责任公司", "事务所", "研究院"]
    names: set[str] = set()
    while len(names) < count:
        own = "".join(chance.sample(characters, chance.choice([2, 3])))
        names.add(chance.choice(places) + own + chance.choice(trades) + chance.choice(forms))
    return sorted(names)


def test_every_two_three_and_four_character_piece_of_an_agency_name_finds_it(make: MakeEngine) -> None:
    names = agency_names(200)
    engine = make([listing(f"A{n}", name) for n, name in enumerate(names)])
    pieces = {(name[i : i + size]) for name in names for size in (2, 3, 4) for i in range(len(name) - size + 1)}
    snapshot = engine.snapshot()
    for piece in pieces:
        found = {snapshot.rows[n].key for n in snapshot.segments[0][0].members(sum(snapshot.tiers(piece)))}
        wanted = {f"A{n}" for n, name in enumerate(names) if piece in name}
        assert wanted <= found, piece


def test_a_piece_finds_only_names_that_contain_it(make: MakeEngine) -> None:
    engine = make([listing("1", "中诚测绘院"), listing("2", "诚测中诚院")])
    assert engine.query("中诚测").keys == ["1"]


def test_one_character_finds_names_that_contain_it(make: MakeEngine) -> None:
    engine = make([listing("1", "蓝天咨询"), listing("2", "宏远测绘")])
    assert engine.query("蓝").keys == ["1"]


def test_a_run_written_without_spaces_finds_its_parts_apart(make: MakeEngine) -> None:
    engine = make(
        [listing("1", "水土保持方案编制", names=["哈尔滨市蓝天咨询"]), listing("2", "测绘", names=["哈尔滨宏远"])]
    )
    assert engine.query("哈尔滨水土保持").keys == ["1"]
    assert engine.query("哈尔滨蓝天").keys == ["1"]
    assert engine.query("水土保持的方案").keys == ["1"]


@pytest.mark.parametrize("asked", ["hjyx", "hjyxpj", "huanjing", "HuanJingYing", "yingxiang", "huan ping"])
def test_pinyin_and_initials_find_a_name(make: MakeEngine, asked: str) -> None:
    engine = make([listing("1", "环境影响评价"), listing("2", "水土保持方案")])
    assert engine.query(asked).keys == ["1"]


def test_pinyin_counts_only_from_the_start_of_a_syllable(make: MakeEngine) -> None:
    engine = make([listing("1", "环境影响评价")])
    assert engine.query("uanjing").total == 0


def test_latin_words_and_numbers_are_found_whole_and_in_parts(make: MakeEngine) -> None:
    engine = make([listing("1", "ＢＩＭ技术咨询", text="依据GB50016编制"), listing("2", "测绘", text="依据GB18306")])
    assert engine.query("bim").keys == ["1"]
    assert engine.query("gb 50016").keys == ["1"]
    assert engine.query("GB50016").keys == ["1"]


def test_a_synonym_finds_the_full_form_and_the_full_form_the_short_one(make: MakeEngine) -> None:
    text.load_synonyms([("环评", "环境影响评价"), ("水保", "水土保持")])
    engine = make(
        [listing("1", "环境影响评价报告编制"), listing("2", "环评报告技术审查"), listing("3", "水土保持方案")]
    )
    assert set(engine.query("环评").keys) == {"1", "2"}
    assert set(engine.query("环境影响评价").keys) == {"1", "2"}
    assert engine.query("水保方案").keys == ["3"]


def test_all_terms_must_match_each_in_any_field(make: MakeEngine) -> None:
    engine = make(
        [
            listing("1", "测绘服务", names=["蓝天"], text="提供现场踏勘"),
            listing("2", "测绘服务", names=["宏远"], text="提供现场踏勘"),
            listing("3", "勘察服务", names=["蓝天"], text="提供资料收集"),
        ]
    )
    assert engine.query("蓝天 踏勘").keys == ["1"]
    assert engine.query("蓝天 测绘 收集").total == 0


def test_a_description_is_found_by_its_words_whenever_they_were_taught(make: MakeEngine) -> None:
    described = "编制河道采砂规划论证材料"
    engine = make([listing("before", "服务", text=described)])
    assert engine.query("采砂").keys == ["before"]
    text.load_words(["河道采砂规划论证"])
    engine.update([listing("after", "服务", text=described)])
    assert set(engine.query("河道采砂规划论证").keys) == {"before", "after"}


def test_a_name_is_found_when_the_query_has_a_character_more_but_not_by_half_of_it(make: MakeEngine) -> None:
    engine = make([listing("1", "哈尔滨蓝天宏远咨询")])
    assert engine.query("哈尔滨市蓝天").keys == ["1"]
    assert engine.query("火星土星蓝天").total == 0


def test_an_equal_name_comes_before_the_title_before_names_before_descriptions(make: MakeEngine) -> None:
    engine = make(
        [
            listing("text", "咨询服务", text="含日照分析"),
            listing("name", "建筑咨询", names=["日照分析与模拟"], boost=5),
            listing("title", "住宅日照分析"),
            listing("equal", "日照分析"),
            listing("other title", "住宅日照分析", boost=1),
        ]
    )
    assert engine.query("日照分析").keys == ["equal", "other title", "title", "name", "text"]


SHELF = [
    listing("1", "测绘甲", facets={"region": ["南岗区", "道里区"], "grade": ["甲级"]}, numbers={"fee": 300, "days": 5}),
    listing("2", "测绘乙", facets={"region": ["南岗区"], "grade": ["乙级"]}, numbers={"fee": 100, "days": None}),
    listing("3", "测绘丙", facets={"region": ["道里区"], "grade": ["甲级"]}, numbers={"fee": None}),
    listing("4", "勘察丁", facets={"region": ["松北区"], "grade": ["乙级"]}, numbers={"fee": 200, "days": 9}),
]


def test_facets_count_every_value_of_what_was_found(make: MakeEngine) -> None:
    result = make(SHELF).query("测绘")
    assert result.total == 3
    assert result.facets == {"region": [("南岗区", 2), ("道里区", 2)], "grade": [("甲级", 2), ("乙级", 1)]}


def test_a_facet_counts_with_the_other_filters_but_not_its_own(make: MakeEngine) -> None:
    result = make(SHELF).query(filters={"region": ["道里区"], "grade": ["甲级"]})
    assert result.total == 2
    assert dict(result.facets["region"]) == {"道里区": 2, "南岗区": 1}
    assert dict(result.facets["grade"]) == {"甲级": 2}


def test_values_of_one_filter_are_alternatives_and_filters_add_up(make: MakeEngine) -> None:
    engine = make(SHELF)
    assert engine.query(filters={"region": ["南岗区", "松北区"]}).total == 3
    assert engine.query(filters={"region": ["南岗区", "松北区"], "grade": ["乙级"]}).total == 2


def test_a_chosen_value_stays_listed_at_zero(make: MakeEngine) -> None:
    result = make(SHELF).query("勘察", filters={"grade": ["甲级", "无此等级"]})
    assert dict(result.facets["grade"]) == {"乙级": 1, "甲级": 0, "无此等级": 0}


def test_a_range_includes_its_ends_and_leaves_out_what_has_no_number(make: MakeEngine) -> None:
    engine = make(SHELF)
    assert set(engine.query(ranges={"fee": (100, 200)}).keys) == {"2", "4"}
    assert set(engine.query(ranges={"fee": (None, 200)}).keys) == {"2", "4"}
    assert set(engine.query(ranges={"fee": (201, None)}).keys) == {"1"}
    assert engine.query(ranges={"fee": (None, None)}).total == 4


def test_sorting_puts_what_has_no_number_last_in_both_directions(make: MakeEngine) -> None:
    engine = make(SHELF)
    assert engine.query(sort="fee").keys == ["2", "4", "1", "3"]
    assert engine.query(sort="-fee").keys == ["1", "4", "2", "3"]


def test_pages_follow_each_other_across_ranks_and_the_last_one_answers_for_later_ones(make: MakeEngine) -> None:
    engine = make([listing(f"{n:02}", "测绘服务" if n % 2 else "咨询", text="测绘") for n in range(25)])
    whole = engine.query("测绘", size=100).keys
    assert len(whole) == 25
    assert [key for page in (1, 2, 3) for key in engine.query("测绘", page=page, size=10).keys] == whole
    late = engine.query("测绘", page=99, size=10)
    assert (late.page, late.keys) == (3, whole[20:])


def test_no_result_names_the_one_filter_to_drop(make: MakeEngine) -> None:
    engine = make(SHELF)
    assert engine.query("测绘", filters={"region": ["松北区"], "grade": ["甲级"]}).drop_hint == DropHint("region", 2)
    assert engine.query("测绘", filters={"grade": ["乙级"]}, ranges={"fee": (200, None)}).drop_hint in (
        DropHint("grade", 1),
        DropHint("fee", 1),
    )
    assert engine.query("没有的词", filters={"grade": ["乙级"]}).drop_hint == DropHint("text", 2)
    assert engine.query("测绘", filters={"region": ["南岗区"]}).drop_hint is None


def test_what_cannot_be_asked_is_a_named_error(make: MakeEngine) -> None:
    engine = make(SHELF)
    with pytest.raises(QueryTooLong):
        engine.query("测" * 101)
    assert engine.query("测" * 100).total == 0
    with pytest.raises(UnknownCriterion):
        engine.query(filters={"colour": ["蓝"]})
    with pytest.raises(UnknownCriterion):
        engine.query(sort="region")
    with pytest.raises(UnknownCriterion):
        engine.query(ranges={"region": (1, 2)})
    assert engine.query("！？（）").total == 0


def test_an_empty_index_answers_nothing_and_takes_its_first_document(make: MakeEngine) -> None:
    engine = make([])
    empty = engine.query("测绘", sort="fee", ranges={"fee": (1, 2)})
    assert (empty.total, empty.keys, empty.facets) == (0, [], {"region": [], "grade": []})
    engine.update(SHELF[:1])
    assert engine.query("测绘").keys == ["1"]
    engine.update([], ["1"])
    assert engine.query("测绘").total == 0
    engine.update(SHELF[:1])
    assert engine.query("测绘").keys == ["1"]


def test_another_process_sees_an_update_after_its_next_look(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue: a published listing is found within 2 s; the look comes at most half a second later."""
    assert whoosh_engine.LOOK_EVERY <= 0.5
    writer, reader = make(SHELF), make([])
    assert reader.query("测绘").total == 3
    writer.update([listing("5", "测绘戊")])
    monkeypatch.setattr(whoosh_engine, "LOOK_EVERY", 0)
    assert reader.query("测绘").total == 4


def test_an_update_replaces_and_a_deletion_removes(make: MakeEngine) -> None:
    engine = make(SHELF)
    engine.update([listing("2", "勘察改名", facets={"grade": ["丙级"]})], ["3"])
    assert engine.query("测绘").keys == ["1"]
    assert engine.query("勘察改名").keys == ["2"]
    assert dict(engine.query().facets["grade"]) == {"甲级": 1, "乙级": 1, "丙级": 1}
    assert engine.keys() == {"1", "2", "4"}


def test_many_small_updates_are_merged_and_nothing_is_lost(make: MakeEngine) -> None:
    engine = make([])
    for number in range(40):
        engine.update([listing(f"K{number:02}", f"测绘{number}")])
    assert engine.query("测绘", size=100).total == 40
    assert len(engine.snapshot().segments) < 2 * whoosh_engine.MERGE_FACTOR


def test_a_rebuild_switches_at_once_while_a_reader_is_open(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whoosh_engine, "LOOK_EVERY", 0)
    writer, reader = make(SHELF), make([])
    before = reader.snapshot()
    seen: list[int] = []

    def fresh() -> Iterator[Document]:
        for number in range(3):
            seen.append(reader.query().total)
            yield listing(f"N{number}", "水土保持方案")

    writer.rebuild(fresh(), nothing)
    assert seen == [4, 4, 4]
    assert reader.keys() == {"N0", "N1", "N2"}
    # A term never asked for before is still read from the index that went.
    assert before.query("勘察丁", {}, {}, None, 1, 20).keys == ["4"]


def test_what_changes_during_a_rebuild_is_not_lost(make: MakeEngine) -> None:
    writer, other = make(SHELF), make([])

    def fresh() -> Iterator[Document]:
        yield SHELF[0]
        other.update([listing("9", "稳评新增")], ["1"])

    writer.rebuild(fresh(), lambda keys: [listing("9", "稳评新增")] if "9" in keys else [])
    assert writer.keys() == {"9"}
    assert not (writer.folder / "changed").exists()


def test_a_failed_rebuild_leaves_the_index_as_it_was(make: MakeEngine) -> None:
    engine = make(SHELF)

    def broken() -> Iterator[Document]:
        yield SHELF[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        engine.rebuild(broken(), nothing)
    assert engine.keys() == {"1", "2", "3", "4"}
    assert len([entry for entry in engine.folder.iterdir() if entry.is_dir()]) == 1
    engine.update([], ["1"])
    assert engine.keys() == {"2", "3", "4"}


def test_rebuilds_keep_one_former_folder_only(make: MakeEngine) -> None:
    engine = make(SHELF)
    for _ in range(3):
        engine.rebuild(SHELF, nothing)
    assert len([entry for entry in engine.folder.iterdir() if entry.is_dir()]) == 2


def test_two_rebuilds_at_once_are_refused(make: MakeEngine) -> None:
    engine, other = make(SHELF), make([])

    def meanwhile() -> Iterator[Document]:
        with pytest.raises(RebuildRunning):
            other.rebuild(SHELF, nothing)
        yield SHELF[0]

    engine.rebuild(meanwhile(), nothing)
    assert engine.keys() == {"1"}


def test_notes_of_a_rebuild_that_was_killed_are_cleared(make: MakeEngine) -> None:
    engine = make(SHELF)
    (engine.folder / "changed").write_text("1\n", encoding="utf-8")
    engine.update([], ["2"])
    assert not (engine.folder / "changed").exists()


def test_the_index_is_private_and_a_foreign_one_is_refused(
    make: MakeEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(mode=0o755)
    engine = make(SHELF)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setattr(whoosh_engine.os, "geteuid", lambda: 12345)
    with pytest.raises(IndexNotPrivate):
        engine.update(SHELF)
    with pytest.raises(IndexNotPrivate):
        make([]).query()


def test_a_look_at_an_index_that_is_being_replaced_loads_it_anew(
    make: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whoosh_engine, "LOOK_EVERY", 0)
    engine = make(SHELF)
    assert engine.query().total == len(SHELF)

    def gone() -> tuple[str, int]:
        raise FileNotFoundError

    monkeypatch.setattr(engine, "_stamp", gone)
    assert engine.query().total == len(SHELF)


def test_threads_ask_while_the_index_changes(make: MakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whoosh_engine, "LOOK_EVERY", 0)
    engine = make([listing(f"B{n}", name) for n, name in enumerate(agency_names(50))])
    faults: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                assert engine.query("有限").total + engine.query("院").total + engine.query("所").total >= 50
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(15):
        engine.update([listing(f"C{number}", f"新增{number}有限公司")])
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert engine.query("新增").total == 15
