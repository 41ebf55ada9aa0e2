"""Look and accessibility of the pages in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rig import BUILD, ROOT
from tests.pages.site import ADMIN, OWNER, Site, Visit, follow

pytestmark = pytest.mark.platform("Pages of the server in Chromium")

SHOTS = BUILD / "pictures"
PICTURES = ROOT / "docs" / "pictures"
#: The pictures of the guides; the test makes a missing one. After a change of a page, delete its picture, run this file alone, and look
#: at the new picture.
GUIDE_PICTURES = {"home-admin": "home.png", "mappings": "role-mappings.png", "settings": "project-roles.png", "refused": "try-it.png"}

#: Lists what is wrong with a page: fields without a label, text with poor contrast, headings out of order, ids given twice.
CHECK = """() => {
  const complaints = [];
  const seen = element => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && getComputedStyle(element).visibility !== "hidden";
  };
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels || field.labels.length !== 1 || !field.labels[0].textContent.trim()) complaints.push(`no label: ${field.name}`);
  }
  for (const each of document.querySelectorAll("button, a, th, nav, section")) {
    const name = each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") || each.textContent.trim();
    if (!name) complaints.push(`no name: ${each.outerHTML}`);
  }
  for (const each of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    const id = each.getAttribute("aria-labelledby") || each.getAttribute("aria-describedby");
    if (!document.getElementById(id)) complaints.push(`refers to nothing: ${id}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map(each => each.id);
  for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) complaints.push(`id given twice: ${id}`);
  if (document.querySelectorAll("h1").length !== 1) complaints.push("not one h1");
  if (!document.documentElement.lang) complaints.push("no language");
  const levels = [...document.querySelectorAll("h1, h2, h3")].map(each => +each.tagName[1]);
  levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) complaints.push(`heading ${level} after ${levels[i - 1]}`); });

  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.textContent.trim() || !seen(element) || element.closest("datalist, option, script")) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) complaints.push(`contrast ${contrast.toFixed(2)}: ${text.textContent.trim().slice(0, 40)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) complaints.push(`${document.documentElement.scrollWidth} wide in ${innerWidth}`);
  return complaints;
}"""


def every_page(visit: Visit, site: Site) -> list[tuple[str, str]]:
    """Lists name and address of each page that shows something without a form being sent."""
    mapping = "/admin/role-mappings/4"
    return [
        ("home-admin", "/"),
        ("mappings", "/admin/role-mappings"),
        ("change", mapping),
        ("remove", f"{mapping}/remove"),
        ("base-identity", "/admin/base-identity"),
        ("projects", "/admin/projects"),
        ("project", f"/admin/projects/{site.churn}"),
        ("remove-member", f"/admin/projects/{site.churn}/remove-member?email=grace%40example.org"),
        ("users", "/admin/users"),
        ("new-key", "/admin/users/new-key?email=grace%40example.org"),
        ("audit", "/admin/audit"),
        ("not-found", "/nowhere"),
    ]


def check(visit: Visit, name: str, shots: Path) -> None:
    """Takes a picture of the current page and checks that nothing is wrong with it."""
    shots.mkdir(parents=True, exist_ok=True)
    visit.page.screenshot(path=shots / f"{name}.png", full_page=True)
    assert visit.page.evaluate(CHECK) == [], name


#: Colours and width do not depend on each other, so two combinations cover both.
LOOKS: list[dict[str, Any]] = [
    {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark"},
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look['color_scheme']}-{look['viewport']['width']}")
def test_every_page_has_labels_and_contrast_and_fits_the_width(pages: Site, look: dict[str, Any]) -> None:
    shots = SHOTS / f"{look['color_scheme']}-{look['viewport']['width']}"
    with pages.visit(ADMIN, **look) as visit:
        for name, address in every_page(visit, pages):
            visit.page.goto(address)
            check(visit, name, shots)
        visit.page.goto("/admin/role-mappings/4/try")
        follow(visit.page.get_by_role("button", name="Try it"))
        check(visit, "refused", shots)
        visit.page.goto("/admin/role-mappings/1/try")
        follow(visit.page.get_by_role("button", name="Try it"))
        check(visit, "works", shots)
    with pages.visit(OWNER, **look) as visit:
        check(visit, "home-member", shots)
        visit.page.goto(f"/projects/{pages.churn}")
        check(visit, "settings", shots)
        visit.page.goto("/admin/users")
        check(visit, "forbidden", shots)
    with pages.visit(**look) as visit:
        visit.sign_in("wrong.key")
        check(visit, "sign-in", shots)
    if shots.name == "light-1280":
        for name, picture in GUIDE_PICTURES.items():
            if not (PICTURES / picture).exists():
                PICTURES.mkdir(parents=True, exist_ok=True)
                (PICTURES / picture).write_bytes((shots / f"{name}.png").read_bytes())


def focused(visit: Visit) -> str:
    """Returns the text or name of the focused element."""
    return str(visit.page.evaluate("(document.activeElement.textContent || document.activeElement.name).trim()"))


def test_the_keyboard_reaches_everything_in_page_order(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        visit.page.goto("/admin/role-mappings")
        order = []
        for _ in range(15):
            visit.page.keyboard.press("Tab")
            order.append(focused(visit))
            assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", order
        assert order[:8] == ["Skip to content", "Cloud roles", "Home", "Role mappings", "Projects", "Users", "Base identity", "Audit"]
        assert order[8:10] == ["Sign out", "q"]
        assert order[11:] == ["Filter", "Clear", "Id", "Project"]
        visit.page.reload()
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "main"


def test_code_is_copied_by_a_button(pages: Site) -> None:
    with pages.visit(OWNER, permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.page.goto(f"/projects/{pages.churn}")
        visit.page.get_by_role("button", name="Copy: Scala").click()
        visit.page.get_by_text("Copied").wait_for()
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert "CredentialsProvider.assumeRole()" in copied
