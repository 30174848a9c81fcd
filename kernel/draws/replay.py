"""A draw told to a person, step by step, so that the page about it can be followed with pencil and paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernel.draws.record import DrawRecord, Step, shuffled


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence in both languages."""

    zh: str
    en: str


def steps(record: DrawRecord) -> tuple[Step, ...]:
    """The record's shuffle once more, for a page that replays it."""
    return shuffled(record.seed_hash, [candidate.id for candidate in record.candidates])[1]


def in_words(record: DrawRecord) -> list[Words]:
    """The draw told to a person in order: what was fixed, who added what, every place, the result."""
    names = {candidate.id: candidate.name for candidate in record.candidates}
    count, told = len(record.candidates), []

    def say(zh: str, en: str) -> None:
        told.append(Words(zh, en))

    published = record.published_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    say(
        f"{published} 公布名单哈希 {record.list_hash}，名单 {count} 个、抽取 {record.rule.picked} 个，此后不能更改。",
        f"At {published} the list hash {record.list_hash} was published: {count} on the list, {record.rule.picked} to be drawn, unchangeable from then on.",
    )
    for pledge in record.pledges:
        say(
            f"“{pledge.party}”事先承诺 {pledge.commitment}，随后公开种子 {pledge.seed}，两者相符。",
            f"“{pledge.party}” committed to {pledge.commitment} and then opened the seed {pledge.seed}; they fit.",
        )
    if record.outside is not None:
        say(
            f"事先指明的外部数值“{record.rule.outside}”为 {record.outside}。",
            f"The outside value named beforehand, “{record.rule.outside}”, came out as {record.outside}.",
        )
    say(
        f"名单哈希、各方种子和外部数值合成总种子 {record.seed_hash}，任何一项不同，结果就不同。",
        f"List hash, seeds and outside value give the common seed {record.seed_hash}; a change in any of them changes the result.",
    )
    for step in steps(record):
        say(*_step_in_words(step, names))
    drawn = [candidate.name for candidate in record.picked]
    say(f"抽取结果：{'、'.join(drawn)}。", f"Drawn: {', '.join(drawn)}.")
    return told


def _step_in_words(step: Step, names: Mapping[str, str]) -> tuple[str, str]:
    name = names[step.drawn]
    if not step.attempts:
        return f"第 {step.place} 位：只余“{name}”。", f"Place {step.place}: only “{name}” remains."
    refused = [attempt.number + 1 for attempt in step.attempts if not attempt.is_taken]
    dropped_zh = f"（先得 {'、'.join(map(str, refused))}，超出范围，作废）" if refused else ""
    dropped_en = f" (first {', '.join(map(str, refused))}: out of range, dropped)" if refused else ""
    stays = step.moved == step.drawn
    moves_zh = "" if stays else f"；原在最前的“{names[step.moved]}”补到它的位置"
    moves_en = "" if stays else f"; “{names[step.moved]}”, which stood first, takes its spot"
    return (
        f"第 {step.place} 位：余 {step.remaining} 个，随机数{dropped_zh}为 {step.number + 1}，抽中余下名单第 {step.number + 1} 个“{name}”{moves_zh}。",
        f"Place {step.place}: {step.remaining} remain, the number{dropped_en} is {step.number + 1}; number {step.number + 1} of them is “{name}”{moves_en}.",
    )
