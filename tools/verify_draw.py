"""核验抽取记录 draw.json，只需 Python 3.9 以上；退出码 0 相符、1 不符、2 用法有误。格式见 docs/draw.md。
Checks the record of a random draw with nothing but Python ≥ 3.9: exit 0 it holds, 1 it doesn't, 2 wrong use."""

import hashlib
import hmac
import json
import re
import sys
from pathlib import Path

CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}").fullmatch
TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]{1,500}").fullmatch
SEED = re.compile("[0-9a-f]{64}").fullmatch


def digest(kind, value):
    return hashlib.sha256(f"draw/{kind}/v1\n{CANONICAL(value)}".encode()).hexdigest()


def verify(data):  # works the record out anew from its inputs; raises unless exactly these bytes result
    told = json.loads(data.decode("utf-8"))
    draw, outside, parties = told["draw"], told["outside"], [(one["party"], one["seed"]) for one in told["parties"]]
    rule = {key: told["rule"][key] for key in ("outside", "parties", "picked", "text")}
    candidates = [{"id": one["id"], "name": one["name"]} for one in told["candidates"]]
    ids, names, seeds = [one["id"] for one in candidates], [name for name, _ in parties], [seed for _, seed in parties]
    texts = [rule["text"], *names, *(one["name"] for one in candidates)]
    texts += [] if parties and {rule["outside"], outside} == {None} else [rule["outside"], outside]  # both or neither
    known = all(map(TOKEN, [draw, *ids])) and all(map(TEXT, texts)) and all(map(SEED, seeds))
    listed = ids == sorted(set(ids)) and names == sorted(set(names)) == rule["parties"] and type(rule["picked"]) is int
    dated = re.sub("[0-9]", "0", told["published"]) == "0000-00-00T00:00:00Z"
    if not (known and listed and dated and 1 <= rule["picked"] <= len(ids)):
        raise ValueError("内容不合格式 malformed content")
    record = {"draw": draw, "rule": rule, "candidates": candidates}
    record["list_hash"] = digest("list", record)
    record["parties"] = [{"party": n, "seed": s, "commitment": digest("commitment", [draw, n, s])} for n, s in parties]
    record["seed_hash"] = digest("seed", [record["list_hash"], seeds, outside])
    counter = 0
    for place in range(len(ids) - 1):
        number = left = len(ids) - place
        while number >= left:  # too large: the next block is asked, never a remainder taken
            block = hmac.digest(bytes.fromhex(record["seed_hash"]), counter.to_bytes(8, "big"), "sha256")
            number, counter = int.from_bytes(block, "big") >> (256 - (left - 1).bit_length()), counter + 1
        ids[place], ids[place + number] = ids[place + number], ids[place]
    record.update(version=1, published=told["published"], outside=outside, order=ids)
    record["record_hash"] = digest("record", record)
    if (CANONICAL(record) + "\n").encode() != data:
        raise ValueError(", ".join(key for key in record if record[key] != told.get(key)) or "写法 spelling")
    return "✔ 抽取 {draw} 可复核，名单哈希 {list_hash} / draw {draw} holds; list hash {list_hash}".format(**record)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")
    try:
        print(verify(Path(sys.argv[1] if len(sys.argv) == 2 else "").read_bytes()))
    except OSError:
        sys.exit(print("用法 / usage: python verify_draw.py draw.json", file=sys.stderr) or 2)
    except Exception as why:
        sys.exit(f"✘ 记录不符 / the record doesn't hold: {why}")
