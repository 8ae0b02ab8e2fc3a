"""What a page needs for everyone to read it, asked of the page itself."""

from typing import Any

from playwright.sync_api import Page

CONTRAST = 4.5  # of text with what is behind it, at least: WCAG 2.2, 1.4.3
WEAK = """least => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
      if (found[3] !== 0) throw new Error("a ground that lets through");
    }
    return [255, 255, 255, 255];
  };
  const light = (colour) => {
    const linear = (p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.slice(0, 3).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const weak = [];
  let count = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const seen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    if (!own || !seen || element.closest(".unseen, script, style")) continue;
    count++;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least) weak.push([element.className || element.tagName, element.textContent.slice(0, 30), contrast]);
  }
  return [count, weak];
}"""
NAMED = "button, a, input, iframe, img, audio, summary, [role]"
UNNAMED = """named => [...document.querySelectorAll(named)].filter((element) => {
  const said = element.getAttribute("aria-label") || element.title || element.alt || element.textContent;
  return !said.trim() && element.getAttribute("role") !== "status" && !element.closest("[aria-hidden]");
}).map((element) => element.outerHTML.slice(0, 80))"""


def weak_texts(page: Page, *, least: int) -> list[Any]:
    """The visible texts whose contrast is too low, of at least so many."""
    count, weak = page.evaluate(WEAK, CONTRAST)
    assert count >= least, count
    return list(weak)


def unnamed(page: Page) -> list[str]:
    """The elements that a screen reader would have no name for."""
    return list(page.evaluate(UNNAMED, NAMED))
