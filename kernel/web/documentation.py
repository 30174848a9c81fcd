"""``flask docs check | write``: tables in ``docs/`` that are made from the code, so that they can't fall behind it.

A generated part stands between two comments, ``<!-- generated: name -->`` and ``<!-- /generated -->``; everything
around them is written by hand and left alone.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from kernel import jobs, trail
from kernel.access import Cell, Role
from kernel.config import ROOT, Config, environment_name
from kernel.words import Worded

FOLDER = ROOT / "docs"
PACKAGES = ("kernel", "market", "reviews", "integration")
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- /generated -->)", re.DOTALL)
_CELLS = {"anyone": "任何人", "signed in": "已登录人员"}

docs = AppGroup("docs", help="文档与代码核对 / Documents that match the code")


class PartMissing(Exception):
    """A document lost the place of a generated part."""


def parts(app: Flask, access: Mapping[str, Cell]) -> dict[str, dict[str, str]]:
    """Document → name of a generated part → its text, for ``app`` with the access table ``access``."""
    return {
        "settings.md": {"settings": settings()},
        "acts.md": {"acts": acts()},
        "access.md": {"roles": roles(), "access": cells(app, access)},
        "subscriptions.md": {"subscriptions": subscriptions(), "due": due()},
        "glossary.md": {"enumerations": enumerations()},
    }


def settings() -> str:
    """Every field of :class:`kernel.config.Config`."""
    rows = []
    for field in fields(Config):
        default = getattr(Config(), field.name)
        if isinstance(default, Path):
            shown = f"{default.relative_to(ROOT)}/" if default.is_relative_to(ROOT) else str(default)
        elif isinstance(default, bool):
            shown = str(int(default))
        else:
            shown = str(default)
        choices = field.metadata.get("choices")
        value = " / ".join(f"`{choice}`" for choice in choices) if choices else str(field.type)
        rows.append((f"`{environment_name(field.name)}`", value, f"`{shown}`" if shown else "", *_both(field.metadata)))
    return _table(("名称 Name", "取值 Value", "默认值 Default", "说明", "Meaning"), rows)


def acts() -> str:
    """Every act that the trail knows."""
    rows = [(f"`{act}`", zh, en) for act, (zh, en) in trail.named_acts().items()]
    return _table(("代码 Code", "中文", "English"), rows)


def roles() -> str:
    return _table(("代码 Code", "中文", "English"), [(f"`{role.value}`", role.zh, role.en) for role in Role])


def cells(app: Flask, access: Mapping[str, Cell]) -> str:
    """Every route with who may knock."""
    rows = []
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint)):
        methods = " ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
        cell = access.get(rule.endpoint)
        name = cell.name if cell else "—"
        rows.append((f"`{rule.rule}`", methods, f"`{rule.endpoint}`", _in_chinese(name), name))
    return _table(("地址 Address", "方法 Method", "端点 Endpoint", "谁可以访问", "Who may"), rows)


def subscriptions() -> str:
    """What an act sets off in its own transaction, in order."""
    rows = []
    for act, subscribers in trail.subscriptions().items():
        label = " / ".join(trail.named_acts()[act])
        for place, subscriber in enumerate(subscribers, 1):
            rows.append((f"`{act}`", label, str(place), f"`{_name(subscriber)}`", _first_line(subscriber)))
    return _table(("行为 Act", "含义 Label", "顺序 Order", "引发 Sets off", "说明 Meaning"), rows)


def due() -> str:
    """What falls due by time alone."""
    rows = [(f"`{source.kind}`", f"`{_name(source.find)}`", f"`{_name(source.apply)}`") for source in jobs.registered()]
    return _table(("种类 Kind", "查找 Finds", "办理 Applies"), rows)


def enumerations() -> str:
    """Every word that is stored, with its labels."""
    rows = []
    for words in every_enumeration():
        for member in words:
            rows.append((f"`{words.__module__}.{words.__name__}`", f"`{member.value}`", member.zh, member.en))
    return _table(("类 Class", "值 Value", "中文", "English"), rows)


def every_enumeration() -> list[type[Worded]]:
    """All enumerations of the product, by module and name."""
    found = [words for words in _below(Worded) if words.__module__.partition(".")[0] in PACKAGES]
    return sorted(found, key=lambda words: (words.__module__, words.__name__))


def differences(wanted: Mapping[str, Mapping[str, str]], folder: Path = FOLDER) -> list[str]:
    """One line for each generated part that isn't as the code says."""
    found = []
    for name, texts in wanted.items():
        path = folder / name
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        have = {match["name"]: match["body"] for match in _PART.finditer(present)}
        for part in sorted(texts.keys() | have.keys()):
            if part not in have:
                found.append(f"{name}: 缺少 {part} 部分 / the part {part} is missing")
            elif have[part] != texts.get(part):
                found.append(f"{name}: {part} 部分与代码不一致 / the part {part} differs from the code")
    return found


def write(wanted: Mapping[str, Mapping[str, str]], folder: Path = FOLDER) -> list[str]:
    """Bring the generated parts up to date; answer the documents that changed.

    Raises:
        PartMissing: a document has no place for a part.
    """
    changed = []
    for name, texts in wanted.items():
        path = folder / name
        before = path.read_text(encoding="utf-8")
        have = {match["name"] for match in _PART.finditer(before)}
        if missing := sorted(texts.keys() - have):
            raise PartMissing(f"{name}: <!-- generated: {missing[0]} --> … <!-- /generated -->")

        after = _replace(before, texts)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def _replace(document: str, texts: Mapping[str, str]) -> str:
    def fresh(match: re.Match[str]) -> str:
        return f"{match[1]}{texts[match['name']]}{match[4]}" if match["name"] in texts else match[0]

    return _PART.sub(fresh, document)


@docs.command("check")
def check_command() -> None:
    """Compare the documents with the code; exit 1 when they differ."""
    lines = differences(_wanted())
    for line in lines:
        click.echo(f"✘ {line}")
    if lines:
        click.echo("运行 flask docs write / run flask docs write")
    else:
        click.echo("✔ 文档与代码一致 / documents and code agree")
    sys.exit(1 if lines else 0)


@docs.command("write")
def write_command() -> None:
    """Write the generated parts of the documents anew."""
    for name in write(_wanted()):
        click.echo(f"✔ docs/{name}")


def _wanted() -> dict[str, dict[str, str]]:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return parts(app, app.extensions["access"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _line(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _both(metadata: Mapping[str, str]) -> tuple[str, str]:
    return metadata["zh"], metadata["en"]


def _in_chinese(cell: str) -> str:
    labels = {role.value: role.zh for role in Role}
    return "、".join(_CELLS.get(name) or labels.get(name, name) for name in cell.split(" or "))


def _name(function: Callable[..., object]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _first_line(function: Callable[..., object]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _below(base: type[Worded]) -> Iterator[type[Worded]]:
    for child in base.__subclasses__():
        yield child
        yield from _below(child)


commands = (docs,)
