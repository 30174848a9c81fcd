"""What can be wrong when drawings are entered, each with a name."""

from __future__ import annotations

from kernel.errors import Conflict, Forbidden, Invalid


class NotTheOwner(Forbidden):
    code = "drawings_not_yours"
    zh = "图纸由本项目的建设单位归入"
    en = "The project's construction unit enters its drawings"


class NothingEntered(Invalid):
    code = "drawings_missing"
    zh = "请选择要归入的图纸文件"
    en = "Choose the drawings to be entered"


class SheetNumberInvalid(Invalid):
    code = "sheet_number_invalid"
    zh = "图号“{value}”无法识别，请填写如 结施-05"
    en = "The sheet number “{value}” can't be read; write it as on the drawing, such as S-05"


class TitleMissing(Invalid):
    code = "sheet_title_missing"
    zh = "请填写图纸 {number} 的图名"
    en = "Give the title of sheet {number}"


class DisciplineMissing(Invalid):
    code = "sheet_discipline_missing"
    zh = "请选择图纸“{number}”的专业"
    en = "Choose the discipline of sheet “{number}”"


class SameSheetTwice(Invalid):
    code = "sheet_twice"
    zh = "图号 {number} 在本次归入的文件中出现了两次，请核对"
    en = "Sheet {number} stands twice among these files; check them"


class SameContent(Conflict):
    code = "sheet_same_content"
    zh = "图纸 {number} 与现行第 {edition} 版内容相同，无需重复归入"
    en = "Sheet {number} has the same content as edition {edition}, which is in force"


class EffectiveTooEarly(Invalid):
    code = "sheet_effective_too_early"
    zh = "图纸 {number} 的生效日期不能早于现行第 {edition} 版的生效日期 {day}"
    en = "Sheet {number} can't take effect before {day}, when edition {edition} did"


class VersionWithdrawn(Conflict):
    code = "sheet_withdrawn"
    zh = "图纸 {number} 第 {edition} 版已作废"
    en = "Edition {edition} of sheet {number} has been withdrawn already"
