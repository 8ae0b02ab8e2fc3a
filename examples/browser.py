"""A real browser for the checkers that have a page or a film to try: Chromium, by Playwright, where both are there."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checking import Wrong, need

NONE = "not tried in a browser: that needs Playwright and Chromium"


def tried(page: Path | str, what: Callable[[Any], str]) -> str:
    """What `what` says of the page, opened in Chromium; `NONE` where there is no browser.

    Raises Wrong where the page asks the network for something, fails, or writes an error to its console.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        return NONE
    if chromium is None:
        return NONE
    asked: list[str] = []
    failed: list[str] = []
    with sync_playwright() as playwright:
        # A container's root cannot have Chromium's own sandbox; the page is data of a run and is given no network.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
            opened = context.new_page()
            opened.on("request", lambda request: asked.append(request.url))
            opened.on("pageerror", lambda error: failed.append(str(error)))
            opened.on("console", lambda said: failed.append(said.text) if said.type == "error" else None)
            address = page.resolve().as_uri() if isinstance(page, Path) else None
            if address is None:
                opened.set_content(str(page))
            else:
                opened.goto(address)
            said = what(opened)
        except Error as error:
            raise Wrong(str(error).splitlines()[0]) from None
        finally:
            browser.close()
    outside = [url for url in asked if not url.startswith(("data:", "blob:")) and url != address]
    need(not outside, f"the page asks for {outside[:1]}")
    need(not failed, f"the page fails: {failed[:1]}")
    return said
