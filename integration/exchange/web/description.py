"""The API's description in OpenAPI 3.1, and a page that people read, both written from the one table."""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from typing import Any, Final

from flask import Blueprint, Response, current_app, render_template

from integration.exchange.schemas import COMPONENTS, Schema, ref
from integration.exchange.tokens import Scope
from integration.exchange.web.contract import LANGUAGE, OPERATIONS, PREFIX, Operation, Words, answer_json, describe
from kernel.access import PUBLIC, Cell
from kernel.web import choose, language

blueprint = Blueprint("api_docs", __name__)
ACCESS: dict[str, Cell] = {"api_docs.openapi": PUBLIC, "api_docs.page": PUBLIC}

describe(
    Operation(
        "move_clock",
        "POST",
        "/sandbox/clock",
        ("演示环境：向前拨动法定时间", "Sandbox: move legal time forward"),
        None,
        "ClockMoved",
        body="ClockToMove",
        note=(
            "仅在演示环境有效，其他环境返回 404。到期事务依次办理完毕后才返回。",
            "In a sandbox only, 404 elsewhere. Answers when everything that fell due has been done, in order.",
        ),
    )
)

_REFUSALS: Final[dict[str, Words]] = {
    "400": ("请求格式有误", "Malformed"),
    "401": ("未登录，或令牌无效", "Not signed in, or a bad token"),
    "403": ("岗位或令牌授权范围不允许", "The role or the token's scope does not allow it"),
    "404": ("不存在，或不在您的查看范围内", "Unknown, or not yours to know of"),
    "409": ("当前状态不能办理，或版本已更新；moves 为可办理的操作", "Not open now, or a stale version; see moves"),
    "413": ("内容过大", "Too large"),
    "415": ("内容类型不支持", "Unsupported type of content"),
    "422": ("内容不符合要求，逐项说明", "The content doesn't fit; each fault is named"),
    "503": ("暂时不可用", "Temporarily unavailable"),
}
_ABOUT: Final[Words] = (
    "工程建设项目中介服务超市接口。用访问令牌（Authorization: Bearer）代表本单位办理，也可用网页登录会话（须另带 "
    "X-CSRFToken）。金额以分为单位，时间带时区，日期为北京时间。办理类请求可带 Idempotency-Key，重复发送不会重复办理；"
    "If-Match 填查询时得到的 ETag，他人已更新时返回 409。出错时返回 application/problem+json，code 不随语言和版本变化。"
    "不属于您的内容一律返回 404。",
    "The interface of the intermediary-service supermarket. An access token (Authorization: Bearer) acts for its "
    "organisation; a signed-in session works too and needs X-CSRFToken. Money is in fen, instants carry their zone, "
    "dates are those of China. An act may carry Idempotency-Key and is then done once however often it is sent; "
    "If-Match takes the ETag of an earlier answer, and a record changed since answers 409. Faults are "
    "application/problem+json with a stable code. What isn't yours to know of answers 404.",
)


@blueprint.get(f"{PREFIX}/openapi.json", endpoint="openapi")
def openapi() -> Response:
    response = answer_json(_description(language(), current_app.config["SESSION_COOKIE_NAME"]))
    response.vary.add("Accept-Language")
    return response


@blueprint.get("/api/docs", endpoint="page")
def page() -> str:
    described = _description(language(), current_app.config["SESSION_COOKIE_NAME"])
    operations = [
        {
            "anchor": row.name,
            "method": row.method,
            "path": PREFIX + row.path,
            "summary": choose(*row.summary),
            "note": choose(*row.note),
            "scope": None if row.scope is None else (row.scope.value, row.scope.label(language())),
            "parameters": [
                (each["name"], _place(each["in"]), _kind(each["schema"]), each.get("description", ""))
                for each in _resolved(described, row)
            ],
            "body": row.body,
            "is_upload": row.is_upload,
            "answer": row.answer,
            "status": row.status,
        }
        for row in OPERATIONS
    ]
    shapes = [
        (
            name,
            [
                (member, _kind(shape), member in schema.get("required", ()), shape.get("description", ""))
                for member, shape in schema["properties"].items()
            ],
        )
        for name, schema in COMPONENTS.items()
        if schema.get("properties")
    ]
    return render_template(
        "integration/api_docs.html",
        about=choose(*_ABOUT),
        operations=operations,
        shapes=shapes,
        scopes=[(scope.value, scope.label(language())) for scope in Scope],
        refusals=[(status, choose(*words)) for status, words in _REFUSALS.items()],
    )


@lru_cache(maxsize=4)
def _description(tongue: str, cookie: str) -> dict[str, Any]:
    """The whole description in one language."""

    def say(words: Words) -> str:
        return words[1] if tongue == "en" else words[0]

    paths: dict[str, dict[str, Any]] = {}
    for row in OPERATIONS:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation_json(row, tongue)
    paths["/openapi.json"] = {
        "get": {
            "operationId": "openapi",
            "summary": say(("本说明", "This description")),
            "parameters": [_LANGUAGE_PARAMETER],
            "responses": {
                "200": {
                    "description": say(("OpenAPI 3.1 文件", "OpenAPI 3.1")),
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": say(("工程建设项目中介服务超市接口", "Intermediary-service supermarket API")),
            "version": "1",
            "description": say(_ABOUT),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {
            "schemas": deepcopy(dict(COMPONENTS)),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "；".join(f"{scope.value} {scope.label(tongue)}" for scope in Scope),
                },
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
    }


_LANGUAGE_PARAMETER: Final = {"name": "lang", "in": "query", "required": False, "schema": dict(LANGUAGE)}


def _operation_json(row: Operation, tongue: str) -> dict[str, Any]:
    def say(words: Words) -> str:
        return words[1] if tongue == "en" else words[0]

    found: dict[str, Any] = {"operationId": row.name, "summary": say(row.summary)}
    if say(row.note):
        found["description"] = say(row.note)
    found["parameters"] = _parameters(row)
    if row.scope is not None:
        found["security"] = [{"token": []}, {"session": []}]
        found["x-scope"] = row.scope.value
    if row.is_upload:
        found["requestBody"] = {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": {"type": "string", "format": "binary"}},
                        "required": ["file"],
                        "additionalProperties": False,
                    }
                }
            },
        }
    elif row.body is not None:
        found["requestBody"] = {
            "required": bool(COMPONENTS[row.body].get("required") or COMPONENTS[row.body].get("minProperties")),
            "content": {"application/json": {"schema": ref(row.body)}},
        }
    answered: dict[str, Any] = {
        "description": say(("成功", "Done")),
        "content": {"application/json": {"schema": ref(row.answer)}},
    }
    headers: dict[str, Any] = {}
    if row.name == "project_deliverables" or "version" in COMPONENTS[row.answer].get("properties", {}):
        headers["ETag"] = {"schema": {"type": "string"}}
    if row.status == 201:
        headers["Location"] = {"schema": {"type": "string", "format": "uri-reference"}}
    if headers:
        answered["headers"] = headers
    responses: dict[str, Any] = {str(row.status): answered}
    if row.name == "project_deliverables":
        responses["304"] = {"description": say(("内容未变", "Not changed"))}
    for status, words in _REFUSALS.items():
        responses[status] = {
            "description": say(words),
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        }
    found["responses"] = responses
    return found


def _parameters(row: Operation) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": dict(shape)} for name, shape in row.variables.items()
    ]
    found += [
        {"name": name, "in": "query", "required": False, "schema": dict(shape)} for name, shape in row.query.items()
    ]
    found.append(dict(_LANGUAGE_PARAMETER))
    if row.is_act:
        key = {"type": "string", "pattern": "^[!-~]{8,255}$"}
        found.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    if row.takes_version:
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,15}")$'},
            }
        )
    return found


def _resolved(described: dict[str, Any], row: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = described["paths"][row.path][row.method.lower()]["parameters"]
    return parameters


def _place(where: str) -> str:
    return {
        "path": choose("路径", "path"),
        "query": choose("查询参数", "query"),
        "header": choose("请求头", "header"),
    }[where]


def _kind(schema: Schema) -> str:
    """A shape in few words, for the page."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join("null" if each is None else str(each) for each in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    shown = " | ".join(str(kind) for kind in kinds)
    if "array" in kinds:
        return f"{shown}<{_kind(schema['items'])}>"
    if "minimum" in schema:
        shown += f" {schema['minimum']}…{schema['maximum']}"
    if "format" in schema:
        shown += f" ({schema['format']})"
    return shown
