"""Properties of every page: title, no requests to other hosts, readable text, working back button."""

import pytest
from test_explore import filled  # noqa: F401

pytestmark = pytest.mark.browser

QUERY = "?dataset=small&run=first&video=train_1"        # a video without a file: only text and lanes
READY = {"projects": "Checks:", "train": "Start training", "explore": "9 of 9 videos", "evaluate": "Measured on the"}
# Texts with a contrast below 4.5 (WCAG 2.2, 1.4.3), except of disabled elements and of text on drawings, whose
# background is unknown.
FAINT = """() => {
  const EXCEPT = "[disabled], [aria-disabled=true], script, style, [data-testid^=stSliderT], .heatmap-label";
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((value, i) => value * a + under[i] * (1 - a));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const colour = numbers(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? ground(element.parentElement) : over(colour, ground(element.parentElement));
  };
  const luminance = (colour) => colour.map((value) => value / 255)
    .map((value) => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [.2126, .7152, .0722][i], 0);
  const faint = [];
  const texts = document.createTreeWalker(document.querySelector("[data-testid=stApp]"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const { width, height } = element.getBoundingClientRect();
    if (!texts.currentNode.data.trim() || width < 3 || height < 3) continue;
    if (element.closest(EXCEPT)) continue;
    const style = getComputedStyle(element), under = ground(element);
    const colour = over(numbers(element instanceof SVGElement ? style.fill : style.color), under);
    const [dark, light] = [luminance(colour), luminance(under)].sort((one, other) => one - other);
    const contrast = (light + .05) / (dark + .05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_has_a_title_loads_nothing_from_elsewhere_and_is_readable(filled, browser, scheme):  # noqa: F811
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 1600})
    page, asked = context.new_page(), set()
    page.on("request", lambda request: asked.add(request.url.partition("://")[2].partition("/")[0]))
    for name, text in READY.items():
        page.goto(f"{filled.url}/{name}{QUERY}")
        page.get_by_text(text).first.wait_for(timeout=60_000)
        page.wait_for_function(f"document.title === '{name.title()} · HR-Pro Studio'")
        page.wait_for_timeout(1000)                     # figures fade in
        assert page.evaluate(FAINT) == [], name
    assert asked == {filled.url.partition("://")[2]}
    context.close()


def test_back_button_returns_to_the_previous_page(filled, page):  # noqa: F811
    page.goto(f"{filled.url}/evaluate{QUERY}")
    page.get_by_text(READY["evaluate"]).first.wait_for(timeout=60_000)
    for name in ("train", "explore"):
        page.get_by_test_id("stTopNavLink").filter(has_text=name.title()).click()
        page.wait_for_url(f"**/{name}?*dataset=small*run=first*")
        page.get_by_text(READY[name]).first.wait_for(timeout=60_000)
    for name in ("train", "evaluate"):
        page.go_back()
        page.wait_for_url(f"**/{name}?*dataset=small*")
        page.get_by_text(READY[name]).first.wait_for(timeout=60_000)
