"""The published rules of ranking as arithmetic: worked examples, and properties over any bids (A6, domain §6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.awards import ranking
from market.awards.ranking import Criterion, Drawn, Offer

START = datetime(2026, 3, 9, 1, 0, tzinfo=UTC)
PRICES = st.lists(st.integers(1, 10**11), min_size=1, max_size=9)


def offers(*prices: int | None) -> list[Offer]:
    """Bids a, b, c … received one second after another."""
    return [Offer("abcdefghi"[i], price, START + timedelta(seconds=i)) for i, price in enumerate(prices)]


def places(result: ranking.Result) -> list[tuple[str, int]]:
    return [(place.bid, place.place) for place in result.places]


def test_the_lowest_price_ranks_first_where_the_public_system_took_the_highest():
    """Domain §6, defects 2 and 11: the only price ordering anywhere there is descending."""
    assert places(ranking.lowest(offers(86_000_00, 79_500_50, 92_000_00))) == [("b", 1), ("a", 2), ("c", 3)]


def test_prices_with_fractions_of_a_yuan_are_ranked_and_printed_exactly():
    """Domain §6, defect 8: prices with decimals crash there."""
    first = ranking.lowest(offers(100_01, 100_00)).places[0]
    assert (first.bid, first.lines[0].zh) == ("b", "报价 ¥100.00，由低到高排序")
    assert first.lines[0].en == "Price ¥100.00, ranked from the lowest"


def test_two_bids_at_the_floor_share_the_first_place_until_a_draw_decides():
    """Ganzhou 2023: two or more that reach the published floor are drawn from."""
    equal = offers(80_00, 90_00, 80_00)
    result = ranking.lowest(equal, floor=80_00)
    assert places(result) == [("a", 1), ("c", 1), ("b", 3)]
    assert result.ties == (("a", "c"),)
    assert "达到最低限价 ¥80.00" in [line.zh for line in result.places[0].lines]
    drawn = ranking.lowest(equal, floor=80_00, drawn=[Drawn("CQ-2026-000001", ("c", "a"))])
    assert places(drawn) == [("c", 1), ("a", 2), ("b", 3)]
    assert drawn.ties == ()
    assert "并列，由抽取 CQ-2026-000001 决定先后" in [line.zh for line in drawn.places[0].lines]


def test_a_draw_over_fewer_bids_than_are_equal_now_decides_nothing():
    drawn = [Drawn("CQ-2026-000001", ("a", "b"))]
    assert ranking.lowest(offers(5, 5, 5), drawn=drawn).ties == (("a", "b", "c"),)
    assert places(ranking.lowest(offers(5, 5), drawn=[Drawn("CQ-1", ("c", "b", "a"))])) == [("b", 1), ("a", 2)]


def test_where_the_rule_says_so_the_earlier_of_equal_bids_ranks_better():
    late, early = offers(70_00)[0], Offer("z", 70_00, START - timedelta(microseconds=1))
    assert places(ranking.lowest([late, early], is_earlier_better=True)) == [("z", 1), ("a", 2)]
    same = [Offer("a", 70_00, START), Offer("b", 70_00, START)]
    assert ranking.lowest(same, is_earlier_better=True).ties == (("a", "b"),)


def test_the_price_nearest_to_the_mean_ranks_first_and_of_two_equally_near_the_lower():
    result = ranking.nearest_to_mean(offers(100_00, 90_00, 80_00))
    assert places(result) == [("b", 1), ("c", 2), ("a", 3)]
    assert [line.zh for line in result.places[1].lines] == [
        "平均价：(¥80.00 + ¥90.00 + ¥100.00) ÷ 3 = ¥90.00",
        "与平均价相差 |¥80.00 − ¥90.00| = ¥10.00",
    ]


def test_from_the_published_number_on_highest_and_lowest_are_left_out_of_the_mean_and_ranked_all_the_same():
    five = offers(10_00, 80_00, 84_00, 88_00, 500_00)
    assert places(ranking.nearest_to_mean(five))[0] == ("d", 1)  # the mean of all is 152.40
    trimmed = ranking.nearest_to_mean(five, trim_from=5)
    assert places(trimmed) == [("c", 1), ("b", 2), ("d", 3), ("a", 4), ("e", 5)]
    assert "去掉一个最高价 ¥500.00 和一个最低价 ¥10.00" in trimmed.places[0].lines[0].zh
    assert places(ranking.nearest_to_mean(five[:4], trim_from=5)) == places(ranking.nearest_to_mean(five[:4]))
    assert ranking.nearest_to_mean(offers(1, 3), trim_from=2).places[0].bid == "a"  # two bids are never trimmed away


def test_a_mean_that_is_no_whole_fen_is_compared_exactly_and_said_to_be_rounded():
    """1/3 fen decides: 100, 101 and 101 have the mean 100⅔."""
    result = ranking.nearest_to_mean(offers(100, 101, 101))
    assert places(result) == [("b", 1), ("c", 1), ("a", 3)]
    assert "≈ ¥1.01" in result.places[0].lines[0].zh


def test_price_and_quality_are_weighed_as_published_with_every_figure_shown():
    criteria = [Criterion("方案", "Plan", 4000), Criterion("业绩", "Record", 2000)]
    points = {"a": [[90, 80], [80, 70], [85, 75]], "b": [[60, 60], [70, 60], [65, 63]]}
    result = ranking.weighted(offers(100_00, 80_00), criteria, points)
    a, b = {place.bid: place for place in result.places}["a"], {place.bid: place for place in result.places}["b"]
    assert a.score == 81_0000  # 80/100 × 40 + 85 × 0.4 + 75 × 0.2
    assert b.score == 78_2000  # 40 + 65 × 0.4 + 61 × 0.2
    assert [line.zh for line in a.lines] == [
        "价格分 = 最低价 ¥80.00 ÷ 报价 ¥100.00 × 40 = 32.0000",
        "方案 = (90 + 80 + 85) ÷ 3 ÷ 100 × 40 = 34.0000",
        "业绩 = (80 + 70 + 75) ÷ 3 ÷ 100 × 20 = 15.0000",
        "总分 81.0000",
    ]
    assert places(result) == [("a", 1), ("b", 2)]


def test_scores_that_differ_only_behind_the_fourth_decimal_still_rank_apart():
    criteria = [Criterion("质量", "Quality", 6000)]
    result = ranking.weighted(offers(1_000_000_000, 999_999_999), criteria, {"a": [[50]], "b": [[50]]})
    assert places(result) == [("b", 1), ("a", 2)]
    assert {ranking.score_text(place.score or 0) for place in result.places} == {"70.0000"}


def test_a_bid_without_points_is_not_ranked_by_accident():
    with pytest.raises(ValueError, match="no points"):
        ranking.weighted(offers(1, 2), [Criterion("质量", "", 6000)], {"a": [[50]]})
    with pytest.raises(ValueError, match="exceed"):
        ranking.weighted(offers(1), [Criterion("质量", "", 10_001)], {"a": [[50]]})


def test_a_draw_is_over_bidders_and_not_over_prices():
    """Domain §6, defect 6: there a bidder without a price can never be drawn, and one with three has three chances."""
    result = ranking.by_draw(offers(None, 5_00, None))
    assert result.ties == (("a", "b", "c"),)
    drawn = ranking.by_draw(offers(None, 5_00, None), drawn=[Drawn("CQ-2026-000002", ("c", "a", "b"))])
    assert places(drawn) == [("c", 1), ("a", 2), ("b", 3)]


def test_after_the_rounds_the_order_is_theirs():
    result = ranking.by_rounds(offers(98_00, 98_00, 101_00), ["b", "a", "c"])
    assert places(result) == [("b", 1), ("a", 2), ("c", 3)]
    with pytest.raises(ValueError):
        ranking.by_rounds(offers(1, 2), ["a"])


def test_a_discount_becomes_a_fee_with_its_arithmetic_and_half_a_fen_rounds_up():
    fee, line = ranking.fee_after_discount(120_000_00, 15_50)
    assert (fee, line.zh) == (101_400_00, "费用 = 收费标准 ¥120,000.00 × (1 − 15.5%) = ¥101,400.00")
    assert ranking.fee_after_discount(1, 50_00)[0] == 1
    assert ranking.fee_after_discount(7_77, 0)[0] == 7_77
    assert ranking.fee_after_discount(7_77, 100_00)[0] == 0
    for wrong in (-1, 10_001):
        with pytest.raises(ValueError):
            ranking.fee_after_discount(100, wrong)


def test_a_price_under_the_published_share_of_the_mean_is_asked_about_and_one_at_it_is_not():
    assert ranking.abnormally_low({"a": 50, "b": 150}, 5000) == ({}, 50)
    assert ranking.abnormally_low({"a": 49, "b": 151}, 5000) == ({"a": 49}, 50)
    assert ranking.abnormally_low({"a": 1, "b": 151}, 0) == ({}, 0)
    assert ranking.abnormally_low({}, 5000) == ({}, 0)


def test_a_bid_without_a_price_cannot_be_ranked_by_price():
    for wrong in (None, 0, -1):
        with pytest.raises(ValueError):
            ranking.lowest(offers(wrong))
    assert ranking.lowest([]) == ranking.Result((), ())
    assert ranking.nearest_to_mean([]) == ranking.Result((), ())


@given(PRICES, st.randoms())
def test_the_order_in_which_bids_are_read_changes_nothing(prices, random):
    given_ones = offers(*prices)
    mixed = random.sample(given_ones, len(given_ones))
    for rule in (ranking.lowest, ranking.nearest_to_mean, ranking.by_draw):
        assert rule(given_ones) == rule(mixed)


@given(PRICES, st.integers(0, 9))
def test_every_bid_has_one_place_and_places_count_those_before_it(prices, trim):
    for result in (ranking.lowest(offers(*prices)), ranking.nearest_to_mean(offers(*prices), trim_from=trim)):
        assert sorted(place.bid for place in result.places) == sorted("abcdefghi"[: len(prices)])
        for index, place in enumerate(result.places):
            before = [other for other in result.places[:index] if other.place == place.place]
            assert place.place == (before[0].place if before else index + 1)
        tied = {bid for group in result.ties for bid in group}
        for place in result.places:
            shares = sum(1 for other in result.places if other.place == place.place) > 1
            assert shares == (place.bid in tied)


@given(PRICES)
def test_nearest_to_the_mean_agrees_with_exact_fractions(prices):
    mean = Fraction(sum(prices), len(prices))
    first = ranking.nearest_to_mean(offers(*prices)).places[0]
    assert first.price == min(prices, key=lambda price: (abs(price - mean), price))


@given(PRICES, st.integers(1, 10_000), st.data())
def test_a_score_stays_within_the_whole_and_a_lower_price_never_scores_less(prices, weight, data):
    points = {bid.bid: [[data.draw(st.integers(0, 100))]] for bid in offers(*prices)}
    criteria = [Criterion("质量", "Quality", weight)]
    for place in ranking.weighted(offers(*prices), criteria, points).places:
        assert 0 <= (place.score or 0) <= 100 * ranking.SCORE_UNIT
    equal_points = {bid: [[50]] for bid in points}
    ranked = ranking.weighted(offers(*prices), criteria, equal_points).places
    if weight < 10_000:
        assert [place.price for place in ranked] == sorted(prices)


@given(st.integers(0, 10**13), st.integers(0, 10_000))
def test_a_fee_after_discount_is_within_half_a_fen_of_the_exact_one(standard, discount):
    fee, _line = ranking.fee_after_discount(standard, discount)
    assert abs(Fraction(standard * (10_000 - discount), 10_000) - fee) <= Fraction(1, 2)


@given(PRICES, st.integers(1, 9_999))
def test_asking_for_a_justification_never_takes_all(prices, share):
    found, limit = ranking.abnormally_low(dict(zip("abcdefghi", prices, strict=False)), share)
    assert len(found) < len(prices)
    assert all(price < limit for price in found.values())
