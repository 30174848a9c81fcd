"""Settings are read once, frozen, and never silently ignored (architecture, "Ground")."""

from __future__ import annotations

import re
import stat
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from kernel import config
from kernel.config import BadSetting, Config, UnknownSetting

HAN = re.compile(r"[\u4e00-\u9fff]")


def test_nothing_set_gives_the_defaults() -> None:
    assert config.load({}) == Config()
    assert config.load({"PATH": "/bin", "PORT": "", "PORTAL_NAME": ""}) == Config()


def test_every_kind_of_value_is_read() -> None:
    read = config.load(
        {"SANDBOX": "yes", "PORT": "8080", "PORTAL_HOST": "0.0.0.0", "PORTAL_DATA": "/tmp/x/../y"}  # noqa: S104
    )
    assert (read.sandbox, read.port, read.host, read.data) == (True, 8080, "0.0.0.0", Path("/tmp/y"))  # noqa: S104
    assert config.load({"SANDBOX": "0"}).sandbox is False


def test_misspelt_setting_is_an_error_that_names_the_right_one() -> None:
    with pytest.raises(UnknownSetting) as caught:
        config.load({"PORTAL_HOTS": "x"})
    assert caught.value.code == "unknown_setting"
    for language in ("zh", "en"):
        text = caught.value.text(language)
        assert "PORTAL_HOTS" in text
        assert "PORTAL_HOST" in text


def test_unknown_setting_without_a_neighbour_is_an_error_too() -> None:
    with pytest.raises(UnknownSetting):
        config.load({"PORTAL_QQQQQQ": "1"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "-1"),
        ("PORT", "８０８０"),
        ("PORTAL_WORKERS", "2.5"),
        ("SANDBOX", "maybe"),
        ("SEARCH", "google"),
        ("PASSWORD_PROFILE", "none"),
    ],
)
def test_bad_value_is_named_with_its_setting_and_what_is_wanted(key: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        config.load({key: value})
    text = caught.value.text("en")
    assert key in text
    assert value in text


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("field", fields(Config), ids=lambda field: field.name)
def test_every_setting_is_explained_in_both_languages(field) -> None:  # type: ignore[no-untyped-def]
    assert HAN.search(field.metadata["zh"])
    assert field.metadata["en"].strip()
    assert not HAN.search(field.metadata["en"])


def test_every_setting_has_one_environment_name() -> None:
    names = [config.environment_name(field.name) for field in fields(Config)]
    assert len(set(names)) == len(names)
    assert all(name.startswith("PORTAL_") or name.lower() in config.PLAIN for name in names)
    assert {field.name for field in fields(Config)} >= config.PLAIN


def test_session_key_is_made_once_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    settings = Config(data=tmp_path / "data")
    made = config.secret_key(settings)
    assert len(made) >= 48
    assert config.secret_key(settings) == made
    assert stat.S_IMODE((tmp_path / "data" / "secret_key").stat().st_mode) == 0o600
    assert config.secret_key(Config(data=tmp_path / "other")) != made
    assert config.secret_key(Config(data=tmp_path, secret_key="mine")) == "mine"


@pytest.mark.parametrize(
    ("key", "value"), [("PORT", "0"), ("PORT", "99999999"), ("PORTAL_WORKERS", "0"), ("PORTAL_THREADS", "65")]
)
def test_number_out_of_its_range_is_refused_with_the_range(key: str, value: str) -> None:
    with pytest.raises(config.BadSetting) as refused:
        config.load({key: value})
    assert refused.value.params["key"] == key
    assert "–" in refused.value.params["wanted"]
