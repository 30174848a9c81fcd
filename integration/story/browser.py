"""One bid from a real browser, whose scripts seal it before anything is sent. Needs the development set-up."""

from __future__ import annotations

from integration.story.stage import StoryBroken


def is_there() -> bool:
    """Playwright and a browser are installed (``make story`` sees to it)."""
    try:
        import playwright.sync_api  # noqa: F401

        from tools.browser import find
    except ImportError:
        return False
    return find() is not None


def bid(base: str, login: str, call: str, price: str) -> None:
    """Sign in, fill the bid in, let the page seal it, hand it in."""
    from playwright.sync_api import sync_playwright

    from tools.browser import find

    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=str(find()), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        try:
            page = browser.new_page(base_url=base)
            page.goto("/sign-in")
            page.locator(f'form:has(input[name=demo][value="{login}"]) button').click()
            page.goto(f"/calls/{call}/bid")
            page.fill("[name=price]", price)
            page.fill("[name=working_days]", "18")
            page.locator("[data-sealing-plain] button:not([type=button])").first.click()
            page.locator("a[data-sealing-key]:visible").wait_for(timeout=30_000)
            if page.locator("form[data-sealing] [name=price]:visible").count():
                raise StoryBroken("浏览器没有加密报价 / the browser did not seal the bid")
            page.locator("[data-sealing-done] button:not([type=button])").first.click()
            page.wait_for_url("**/bids/**", timeout=30_000)
        finally:
            browser.close()
