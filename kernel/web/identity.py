"""Who is asking: the session cookie, and whoever else may vouch for a caller (trust G13).

The cookie is signed and holds no secret: person, session key, epoch, the organisation acted for, and two instants
of machine time. Whether it is still good is asked of the database with every request that needs to know.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import g, request, session
from flask_login import LoginManager, current_user, login_user, logout_user

from kernel import clock
from kernel.accounts import sign_in
from kernel.accounts.people import Person
from kernel.accounts.sign_in import IDLE, LONGEST_SESSION, Account
from kernel.trail import Actor

#: The cookie is written again at most this often (seconds) to note the last request.
_NOTED_EVERY = 60
_CACHED = ("_login_user", "portal_actor", "portal_by_token", "portal_session_ended", "csrf_token", "csrf_valid")

Authenticator = Callable[[], Actor | None]
_authenticators: list[Authenticator] = []


class SignedIn:
    """What the sign-in library holds for one request: an :class:`Account`, never a record."""

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, account: Account) -> None:
        self.account = account

    def get_id(self) -> str:
        return str(self.account.actor.person_id)


def register_authenticator(authenticator: Authenticator) -> None:
    """Let ``authenticator`` vouch for callers without a session, by a token in the request.

    It answers an actor, None if the request carries nothing of its kind, or raises a named error.
    """
    if authenticator not in _authenticators:
        _authenticators.append(authenticator)


def make_login_manager() -> LoginManager:
    manager = LoginManager()
    # Bound to its own epoch and key; tying it to an address as well would sign people out in lifts and trains.
    manager.session_protection = None
    manager.user_loader(_load)
    return manager


def forget_cached() -> None:
    """Begin a request with nothing known (an application context may outlive a request in tests)."""
    for name in _CACHED:
        g.pop(name, None)


def current_account() -> Account | None:
    """The signed-in person of this request, or None. Asks the database once."""
    user = current_user._get_current_object()
    return user.account if isinstance(user, SignedIn) else None


def current_actor() -> Actor | None:
    """Who acts in this request: vouched for by a token or by the session; None for a visitor."""
    if "portal_actor" not in g:
        g.portal_by_token = False
        actor: Actor | None = None
        for authenticator in _authenticators:
            actor = authenticator()
            if actor is not None:
                g.portal_by_token = True
                break
        if actor is None:
            account = current_account()
            actor = account.actor if account else None
        g.portal_actor = actor
    return g.portal_actor  # type: ignore[no-any-return]


def is_known() -> bool:
    """Whether this request has already found out who asks, and it is somebody. Asks nothing itself."""
    return g.get("portal_actor") is not None or isinstance(g.get("_login_user"), SignedIn)


def acts_by_token() -> bool:
    """Whether a token vouched for the caller; then no cookie has power here and forgery is no danger."""
    current_actor()
    return bool(g.portal_by_token)


def begin(person: Person) -> None:
    """Start a fresh session for ``person``; call after the sign-in is stored."""
    session.clear()
    now = clock.machine().timestamp()
    session.update(epoch=person.session_epoch, key=sign_in.new_session_key(), since=now, seen=now)
    forget_cached()
    account = sign_in.account(person.id, person.session_epoch, session["key"])
    if account is not None:
        login_user(SignedIn(account))


def act_for(organisation_id: int) -> None:
    """From the next request on, act for this organisation (one of the person's own)."""
    session["organisation"] = organisation_id


def end() -> str | None:
    """Throw the session away and answer its key, for :func:`kernel.accounts.sign_in.end_session`."""
    key = session.get("key")
    logout_user()
    session.clear()
    forget_cached()
    return key if isinstance(key, str) else None


def has_ended() -> bool:
    """Whether this request came with a session that is no longer good."""
    return bool(g.get("portal_session_ended"))


def ends_at() -> datetime | None:
    """When this session ends whatever its person does, by machine time; None without a session."""
    if current_account() is None:
        return None
    return datetime.fromtimestamp(session.get("since", 0.0), UTC) + LONGEST_SESSION


def address() -> str:
    """The caller's network address, for the security log."""
    return request.remote_addr or ""


def _load(user_id: str) -> SignedIn | None:
    now = clock.machine().timestamp()
    since, seen = session.get("since", 0.0), session.get("seen", 0.0)
    account = None
    if now - since <= LONGEST_SESSION.total_seconds() and now - seen <= IDLE.total_seconds():
        account = sign_in.account(
            int(user_id), session.get("epoch", -1), session.get("key", ""), session.get("organisation")
        )
    if account is None:
        g.portal_session_ended = True
        session.clear()
        return None
    if now - seen > _NOTED_EVERY:
        session["seen"] = now
    return SignedIn(account)
