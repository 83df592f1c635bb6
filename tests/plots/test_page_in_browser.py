"""The page as a person sees it: two widths, two schemes, in headless Chromium."""

import shutil

import pytest

from autolora.plots.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SETTINGS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
DRAWN = "html[data-drawn]"  # set when all figures are there

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def written(results, tmp_path_factory):
    path = write(results, tmp_path_factory.mktemp("page") / "report.html")
    assert path.stat().st_size < 2_000_000
    return path.as_uri()


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    return written(results, tmp_path_factory)


@pytest.fixture(scope="module")
def nested(worked, tmp_path_factory):
    return written(worked, tmp_path_factory)


def opened(browser, address, width, scheme):
    """The page once its figures are drawn, what it complained of, and what it asked for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda m: complaints.append(m.text) if m.type in LOUD else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.wait_for_selector(DRAWN, timeout=30_000)
    return page, complaints, requests


LOUD = ("error", "warning")


@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
@pytest.mark.parametrize("study", ["address", "nested"])
def test_looks_right(browser, study, width, scheme, request):
    address = request.getfixturevalue(study)
    page, complaints, requests = opened(browser, address, width, scheme)
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []
    assert page.evaluate(OVER) == []
    assert page.locator(".overplot path, .overplot image").count() > 100
    page.context.close()


@pytest.mark.parametrize("study", ["address", "nested"])
def test_the_first_screen_holds_verdict_front_and_map(browser, study, request):
    page, _, _ = opened(browser, request.getfixturevalue(study), 1280, "light")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate(BOTTOM.format(of=".verdict")) < 300
    for name in ("pareto", "ranks"):
        assert page.evaluate(BOTTOM.format(of=f"[data-figure={name}] .nsewdrag")) <= 800
    page.set_viewport_size({"width": 390, "height": 844})
    tops = [page.evaluate(BOTTOM.format(of=f".figure-{name}")) for name in ("pareto", "ranks")]
    assert tops[0] + 100 < tops[1], "one below the other where there is no room beside"
    page.context.close()


BOTTOM = "document.querySelector('{of}').getBoundingClientRect().bottom"


def test_a_cell_of_the_map_tells_its_target_and_rank(browser, address):
    page, _, _ = opened(browser, address, 1280, "light")
    map_area = page.locator('[data-figure="ranks"] .nsewdrag').first
    map_area.scroll_into_view_if_needed()
    map_area.hover(position={"x": 4, "y": 6})
    told = page.locator('[data-figure="ranks"] .hovertext').first.text_content()
    assert "features.0.0.weight" in told
    assert "rank 2" in told
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    page, _, _ = opened(browser, address, 1280, scheme)
    assert page.evaluate(CONTRAST) == []
    page.context.close()


def test_figures_follow_the_scheme(browser, address):
    page, complaints, _ = opened(browser, address, 1280, "light")
    ink = "getComputedStyle(document.querySelector('.xtick text')).fill"
    before = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    # polled from here: the page's own policy forbids the browser to evaluate words
    changed = any(page.evaluate(ink) != before or page.wait_for_timeout(100) for _ in range(100))
    assert changed
    assert complaints == []
    page.context.close()


# Elements that stick out of the window, but for what lies in a box that scrolls.
OUTSIDE = """[...document.querySelectorAll("body *")]
  .filter(e => !e.closest(".scroll, pre, svg") && e.getBoundingClientRect().width > 0)
  .map(e => [e, e.getBoundingClientRect()])
  .filter(([e, r]) => r.right > innerWidth + 1 || r.left < -1)
  .map(([e]) => e.outerHTML.slice(0, 120))"""

# Words of a figure that its own edge cuts off.
CUT = """[...document.querySelectorAll(".js-plotly-plot")].flatMap(f => {
  const box = f.getBoundingClientRect();
  return [...f.querySelectorAll("text")].filter(t => t.textContent.trim()).filter(t => {
    const r = t.getBoundingClientRect();
    return r.width && (r.left < box.left - 2 || r.right > box.right + 2
      || r.top < box.top - 2 || r.bottom > box.bottom + 2);
  }).map(t => f.dataset.figure + ": " + t.textContent);
})"""

# Legends that cover data, and tick labels that cover each other.
OVER = """[...document.querySelectorAll(".js-plotly-plot")].flatMap(f => {
  const meet = (a, b, slack) => a.left < b.right - slack && b.left < a.right - slack
    && a.top < b.bottom - slack && b.top < a.bottom - slack;
  const found = [], legend = f.querySelector(".legend");
  const all = s => [...f.querySelectorAll(s)].map(e => e.getBoundingClientRect());
  const boxes = all(".nsewdrag");
  if (!boxes.length) found.push(f.dataset.figure + ": no axes");
  if (legend && boxes.some(b => b.width && meet(legend.getBoundingClientRect(), b, 4)))
    found.push(f.dataset.figure + ": legend over data");
  for (const axis of ["xtick", "ytick"]) {
    const labels = all("." + axis + " text");
    if (labels.some((a, i) => labels.slice(i + 1).some(b => meet(a, b, 1))))
      found.push(f.dataset.figure + ": " + axis + " labels overlap");
  }
  return found;
})"""

# Words whose contrast with what they stand on is under 4.5 (WCAG AA).
CONTRAST = """(() => {
  const rgb = c => c.match(/[0-9.]+/g).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= 0.03928 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if (c.startsWith("rgb(")) return c; }
    return "rgb(255, 255, 255)"; };
  return [...document.querySelectorAll("h1, h2, p, dt, dd, th, td, summary, pre")]
    .filter(e => e.textContent.trim() && e.getClientRects().length).filter(e => {
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
    }).map(e => e.textContent.slice(0, 60));
})()"""
