"""The application: wiring and nothing else. This module knows every other, and nobody imports it.

``create_app()`` is what ``flask run`` and the server find. Three tables are the map of the product: the
subscriptions (what an act sets off), the due-loop's sources (what can fall due), and the access cells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from apiflask import APIFlask

import integration.approvals.web as approvals_web
import integration.exchange.web as exchange_web
import integration.web as integration_web
import kernel.web as kernel_web
import market.web as market_web
import reviews.web as reviews_web
from integration import commands, demo, story
from integration.approvals import decisions, guide, matters
from kernel import (
    clock,
    config,
    dossier,
    files,
    jobs,
    sandbox,
    sealing,
    seals,
    search,
    timekeeping,
    trail,
)
from kernel.access import Cell, Role
from kernel.config import Config
from kernel.database import Database
from kernel.db import db
from kernel.trail import Actor, Subscriber
from kernel.web import documentation, system_commands
from market import (
    awards,
    bidding,
    calls,
    catalogue,
    commissions,
    contracts,
    custody,
    deliverables,
    drawing,
    listings,
    notices,
    objections,
    requests,
    rounds,
    shelf,
    signals,
)
from market.web import progress
from reviews import conclusions, drawings, experts, meetings, panels, technical
from reviews import rounds as review_rounds
from reviews.web import reviews as review_pages

_NOUNS = (awards, bidding, custody, drawing, notices, requests)
PAGES = (kernel_web, market_web, reviews_web, approvals_web, exchange_web, integration_web)

#: Act → what it sets off in the same transaction, in this order. Printed by `flask docs check` and compared with docs.
SUBSCRIPTIONS: dict[str, Sequence[Subscriber]] = {
    "agency.suspended": (listings.reindex_agency, commissions.lapse_offers_of),
    "agency.reinstated": (listings.reindex_agency,),
    "agency.admitted": (listings.reindex_agency,),
    "agency.qualified": (listings.reindex_agency,),
    "agency.staffed": (listings.reindex_agency,),
    "agency.left": (listings.reindex_agency, commissions.lapse_offers_of),
    "catalogue.imported": (shelf.reindex_items,),
    "commission.light.amber": (commissions.tell_both_sides,),
    "commission.light.red": (commissions.on_red, awards.on_red),
    "commission.published": (bidding.on_published,),
    "commission.amended": (bidding.on_amended,),
    "commission.extended": (bidding.on_extended,),
    "bidding.closed": (bidding.on_closed,),
    "call.failed": (bidding.on_ended, rounds.on_call_ended),
    "commission.cancelled": (bidding.on_ended, rounds.on_call_ended, objections.on_cancelled, awards.on_cancelled),
    "commission.taken_on": (contracts.on_taken_on,),
    "commission.terminated": (technical.on_ended,),
    "service.started": (technical.on_started,),
    "review.begun": (panels.seat_lead,),
    "review.handed_over": (panels.seat_lead,),
    "review.assigned": (review_rounds.on_seated,),
    "review.declared": (review_rounds.on_seated,),
    "review.waived": (review_rounds.on_seated,),
    "review.replaced": (review_rounds.on_replaced,),
    "review.published": (meetings.on_review_over,),
    "review.ended": (review_rounds.on_ended, meetings.on_review_over),
    "review.light.amber": (review_rounds.on_review_light,),
    "review.light.red": (review_rounds.on_review_light,),
    "consultation.light.amber": (review_rounds.on_consultation_light,),
    "consultation.light.red": (review_rounds.on_consultation_light,),
    "preview.finished": (review_rounds.on_preview,),
    "bids.opened": (rounds.on_opened, awards.on_opened, signals.on_opened),
    "auction.finished": (awards.on_rounds_ended,),
    "award.published": (signals.on_opened,),
    "award.refused": (awards.on_given_back,),
    "award.lapsed": (awards.on_given_back,),
    "draw.drawn": (awards.on_drawn, panels.on_drawn),
    "objection.light.amber": (objections.tell_of_light,),
    "objection.light.red": (objections.tell_of_light,),
    "matter.light.amber": (matters.tell_department,),
    "matter.light.red": (matters.tell_department,),
    "document.superseded": (dossier.tell_those_who_relied,),
    "document.expired": (dossier.tell_those_who_relied,),
    "document.withdrawn": (dossier.tell_those_who_relied,),
}

#: What can fall due, merged by legal instant by the one due-loop.
DUE = (
    jobs.Source("document.validity", dossier.due_to_expire, dossier.act_on_expiry),
    jobs.Source("call.closing", calls.due, calls.act_on_due),
    jobs.Source("auction.stage", rounds.due, rounds.act_on_due),
    jobs.Source("draw.urging", drawing.due, drawing.act_on_due),
    jobs.Source("signals.scan", signals.due, signals.act_on_due),
    jobs.Source("clock.edge", timekeeping.due, timekeeping.act_on_edge),
)


def create_app(settings: Config | None = None) -> APIFlask:
    """The portal as a WSGI application, for these settings or those of the environment.

    Raises:
        config.UnknownSetting, config.BadSetting.
    """
    settings = settings or config.load()
    app = APIFlask(__name__, title=settings.name, version="1", json_errors=False, enable_openapi=False)
    database = Database(settings)
    app.config.update(
        SECRET_KEY=config.secret_key(settings),
        SQLALCHEMY_DATABASE_URI="postgresql+psycopg://",
        SQLALCHEMY_ENGINE_OPTIONS={
            "creator": database.connect,
            "isolation_level": "AUTOCOMMIT",
            "pool_size": settings.threads,
            "max_overflow": 2,
        },
    )
    app.extensions["portal"] = settings
    app.extensions["database"] = database
    db.init_app(app)
    clock.set_source(sandbox.legal_now if settings.sandbox else None)
    files.configure(settings.files_folder, settings.upload_limit)
    sealing.configure(settings.data)
    seals.configure(settings.data / "seals", timestamp_url=settings.timestamp_url)
    custody.configure(settings.data / "call_keys")
    for reader in (
        shelf.may_read_certificate,
        commissions.may_read_material,
        contracts.may_read,
        deliverables.may_read,
        calls.may_read,
        bidding.may_read,
        review_rounds.may_read,
        meetings.may_read,
        conclusions.may_read,
        drawings.may_read,
        decisions.may_read,
    ):
        files.register_reader(reader)
    files.register_bar(panels.barred)
    commissions.hold_by(technical.holds)
    technical.competence_known_by(guide.items_decided_by)
    progress.related_by(review_pages.of_commission_page)
    technical.seats_known_by(panels.has_seat, panels.seated)
    panels.files_known_by(review_rounds.read_by)
    experts.register_load(panels.load_of)
    search.configure(settings.index_folder)
    search.load_synonyms(catalogue.synonyms())
    search.load_words(catalogue.shipped_names())
    search.register(shelf.KIND)
    trail.subscribe(SUBSCRIPTIONS)
    jobs.register(*DUE)

    access: dict[str, Cell] = {}
    links: dict[str, Callable[[str], str]] = {}
    for package in PAGES:
        access |= package.ACCESS
        links |= getattr(package, "LINKS", {})
    for package in PAGES:
        for blueprint in package.blueprints:
            app.register_blueprint(blueprint)
    kernel_web.install(app, settings, access, link=_linker(links), navigation=navigation)
    app.extensions["load_reference"] = demo.city.load_reference
    for command in (
        *system_commands.commands,
        *documentation.commands,
        *(command for package in PAGES for command in package.commands),
        *commands.commands,
        story.story,
    ):
        app.cli.add_command(command)
    logging.getLogger("whoosh").setLevel(logging.WARNING)
    return app


def web() -> APIFlask:
    """What the server's processes run: the application with its dictionary and indexes already open."""
    app = create_app()
    with app.app_context():
        search.warm_up()
    return app


def navigation(actor: Actor | None) -> Sequence[tuple[str, str, str]]:
    """The main menu for an actor: (address, Chinese, English); everybody's entries first."""
    entries = [
        ("/", "首页", "Home"),
        ("/services", "服务超市", "Services"),
        ("/agencies", "中介机构", "Agencies"),
        ("/items", "服务事项", "Service items"),
        ("/calls", "采购公告", "Calls for bids"),
        ("/review-kinds", "审查指南", "Review guides"),
    ]
    if actor is None:
        return entries
    if actor.has(Role.APPLICANT.value, Role.ASSISTANT.value):
        entries += [
            ("/projects", "我的项目", "My projects"),
            ("/commissions", "我的委托", "My commissions"),
            ("/needs", "采购需求", "Needs"),
            ("/requests", "政府付费申请", "Government-paid"),
            ("/matters", "我的申报", "My applications"),
            ("/reviews", "技术审查", "Technical reviews"),
        ]
    if actor.has(Role.AUTHORITY.value):
        entries += [
            ("/requests", "政府付费申请", "Government-paid"),
            ("/needs", "采购需求", "Needs"),
            ("/commissions", "本单位委托", "Commissions"),
            ("/reviews", "技术审查", "Technical reviews"),
        ]
    if actor.has(Role.AGENCY.value):
        entries += [
            ("/commissions", "委托办理", "Commissions"),
            ("/reviews", "技术审查", "Technical reviews"),
            ("/desk", "机构中心", "Agency desk"),
        ]
    if actor.has(Role.EXPERT.value):
        entries += [("/reviews", "技术审查", "Technical reviews"), ("/experts/me", "我的专家信息", "My register entry")]
    if actor.has(Role.WINDOW.value, Role.APPROVER.value, Role.SUPERVISOR.value, Role.AUDITOR.value):
        entries += [("/matters", "审批办件", "Matters")]
    if actor.has(Role.APPROVER.value, Role.SUPERVISOR.value, Role.AUDITOR.value, Role.CENTRE.value):
        entries += [("/reviews", "技术审查", "Technical reviews")]
    if actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value):
        entries += [("/commissions", "委托情况", "Commissions"), ("/signals", "行为线索", "Conduct signals")]
        entries += [("/experts", "专家库", "Experts")]
        entries += [("/requests", "政府付费申请", "Government-paid")]
    if actor.has(Role.OPERATOR.value):
        entries += [("/admin/policies", "采购方式规则", "Rules of routes"), ("/admin/outages", "故障公告", "Outages")]
        entries += [("/experts", "专家库", "Experts"), ("/admin/review-kinds", "审查类别", "Kinds of review")]
    return entries


def _linker(links: dict[str, Callable[[str], str]]) -> Callable[[str], str | None]:
    def link(subject: str) -> str | None:
        noun, _, number = subject.partition(":")
        return links[noun](number) if noun in links else None

    return link
