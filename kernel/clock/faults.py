"""What can be wrong with a date, a duration, a timer or the log it reads.

``field`` is the path of the faulty member as its caller knows it, e.g. ``events[1].key``.
"""

from __future__ import annotations

from kernel.errors import Invalid


class ClockFault(Invalid):
    """Base of every incident of the clock library."""

    code = "clock_fault"
    zh = "计时信息有误"
    en = "The clock cannot be read"


class NaiveInstant(ClockFault):
    code = "naive_instant"
    zh = "时间缺少时区：{value}"
    en = "The instant has no time zone: {value}"


class BadDuration(ClockFault):
    code = "bad_duration"
    zh = "时长“{value}”无法识别，请按 P7D、PT1H 的格式填写"
    en = "The duration “{value}” cannot be read; write it like P7D or PT1H"


class BadDate(ClockFault):
    code = "bad_date"
    zh = "日期“{value}”无效，应为 1900 年至 2199 年之间的日期，格式如 2024-03-04"
    en = "“{value}” is not a date from 1900 to 2199 written like 2024-03-04"


class BadCalendar(ClockFault):
    code = "bad_calendar"
    zh = "工作日历数据有误：{reason}"
    en = "The calendar data is faulty: {reason}"


class CalendarEnds(ClockFault):
    code = "calendar_ends"
    zh = "期限过长，超出日历可推算的范围"
    en = "The time limit reaches beyond the end of the calendar"


class NegativeLimit(ClockFault):
    code = "negative_limit"
    zh = "期限和预警天数不能为负数：{value}"
    en = "A limit or a warning cannot be negative: {value}"


class BadNumber(ClockFault):
    code = "bad_number"
    zh = "应填写 {least} 至 {most} 之间的整数"
    en = "Wanted: a whole number from {least} to {most}"


class UnknownUnit(ClockFault):
    code = "unknown_unit"
    zh = "计时单位“{value}”无法识别，可用：{known}"
    en = "Unknown unit “{value}”; known: {known}"


class UnknownEvent(ClockFault):
    code = "unknown_event"
    zh = "计时事件“{value}”无法识别，可用：{known}"
    en = "Unknown event “{value}”; known: {known}"


class KeyMissing(ClockFault):
    code = "pause_key_missing"
    zh = "暂停和恢复必须写明对应的 key（如 correction:1）"
    en = "A stop or a go needs its key (such as correction:1)"


class DaysMissing(ClockFault):
    code = "extension_days_missing"
    zh = "延长期限必须写明延长的天数（正整数）"
    en = "An extension needs its number of days (a positive whole number)"


class StartedTwice(ClockFault):
    code = "clock_started_twice"
    zh = "同一计时出现两个不同的开始日期：{first} 和 {second}"
    en = "One clock has two different starts: {first} and {second}"


class EndedTwice(ClockFault):
    code = "clock_ended_twice"
    zh = "同一计时出现两个不同的办结日期：{first} 和 {second}"
    en = "One clock has two different ends: {first} and {second}"


class EndedBeforeStart(ClockFault):
    code = "clock_ended_before_start"
    zh = "办结日期 {end} 早于开始日期 {start}"
    en = "The clock ended on {end}, before its start on {start}"


class NotJson(ClockFault):
    code = "not_json"
    zh = "输入不是有效的 JSON（第 {line} 行第 {column} 列）"
    en = "The input is not valid JSON (line {line}, column {column})"


class WrongShape(ClockFault):
    code = "wrong_shape"
    zh = "此处的类型有误，应为：{wanted}"
    en = "Wrong kind of value; wanted: {wanted}"


class MemberMissing(ClockFault):
    code = "member_missing"
    zh = "缺少必填项 {name}"
    en = "The member {name} is missing"


class MemberUnknown(ClockFault):
    code = "member_unknown"
    zh = "多出无法识别的项 {name}，可用：{known}"
    en = "Unknown member {name}; known: {known}"
