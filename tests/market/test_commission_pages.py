"""The pages of commissions over HTTP: order, confirm pages, the whole chain, what comes back when refused."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from kernel.db import session

SignIn = Callable[[str], FlaskClient]


def test_smoke(world, client_as):
    client = client_as("applicant")
    for path in ("/commissions", f"/commissions/new?listing={world.listing.number}&project={world.project.code}"):
        answer = client.get(path)
        assert answer.status_code == 200, answer.get_data(as_text=True)
