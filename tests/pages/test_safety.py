"""Only authorised users get in, stay in and write: cookies, forms, headers, and text that tries to be a script."""

from __future__ import annotations

import http.client
import time
import urllib.parse

import pytest
from playwright.sync_api import expect

from rig.process import Program, environment
from rig.server import BINARY
from tests.pages.site import ADMIN, OWNER, READER, SCIENTIST, Site, follow
from tests.pages.test_administration import rest

pytestmark = pytest.mark.platform("Pages of the server in Chromium")

ATTACK = "<script>document.title='taken'</script>"


def send(site: Site, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> http.client.HTTPResponse:
    """Sends one request without a browser, exactly as given."""
    connection = http.client.HTTPConnection(site.endpoint.removeprefix("http://"), timeout=30)
    body = urllib.parse.urlencode(fields or {})
    written = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body if method == "POST" else None, {"Content-Type": "application/x-www-form-urlencoded", **written})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def cookie_of(site: Site, key: str) -> str:
    """Signs in and returns the cookie of the new session."""
    answer = send(site, "POST", "/sign-in", {"key": key}, Origin=site.endpoint)
    assert answer.status == 303
    return (answer.headers["Set-Cookie"] or "").split(";")[0]


def test_a_form_needs_the_token_of_its_own_session_and_its_own_origin(pages: Site) -> None:
    with pages.visit(ADMIN) as visit, pages.visit(ADMIN) as other:
        visit.page.goto("/admin/projects")
        other.page.goto("/admin/projects")
        cookie = visit.cookie()
        token, foreign_token = visit.form_token(), other.form_token()
    assert token != foreign_token
    mine = f"{cookie['name']}={cookie['value']}"
    form = {"name": "forged"}
    for fields, headers in [
        (form, {"Cookie": mine, "Origin": pages.endpoint}),
        (form | {"form_token": ""}, {"Cookie": mine, "Origin": pages.endpoint}),
        (form | {"form_token": foreign_token}, {"Cookie": mine, "Origin": pages.endpoint}),
        (form | {"form_token": token}, {"Origin": pages.endpoint}),
        (form | {"form_token": token}, {"Cookie": mine}),
        (form | {"form_token": token}, {"Cookie": mine, "Origin": "https://evil.example.org"}),
        (form | {"form_token": token}, {"Cookie": mine, "Origin": "null"}),
        (form | {"form_token": token}, {"Cookie": mine, "Origin": pages.endpoint, "Sec_Fetch_Site": "cross-site"}),
    ]:
        assert send(pages, "POST", "/admin/projects", fields, **headers).status == 403
    assert pages.sql("select count(*) from projects where name = 'forged'") == [(0,)]
    # The control: with everything right the server accepts the form, so each refusal above has the intended cause.
    assert send(pages, "POST", "/admin/projects", form | {"form_token": token}, Cookie=mine, Origin=pages.endpoint).status == 303
    pages.sql("delete from projects where name = 'forged'")
    assert send(pages, "POST", "/sign-in", {"key": pages.keys[ADMIN]}, Origin="https://evil.example.org").status == 403


def test_the_cookie_is_an_opaque_id_hidden_from_scripts_and_absent_from_the_database(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        cookie = visit.cookie()
        assert visit.page.evaluate("document.cookie") == ""
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["expires"]) == (True, "Strict", "/", -1)
    assert len(cookie["value"]) == 64
    assert cookie["value"].encode() not in pages.server.database.read_bytes()


def test_the_cookie_is_bound_to_the_host_when_the_browser_uses_tls(pages: Site) -> None:
    variables = environment(pages.server.directory / "home", DATABASE_URL=f"sqlite://{pages.server.database}", AWS_REGION="us-east-1")
    command = [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--behind-proxy"]
    with Program(command, pages.server.directory / "proxied.log", variables, pages.server.directory) as program:
        endpoint = program.await_line(r"^listening on (http://127\.0\.0\.1:\d+)$")[1]
        connection = http.client.HTTPConnection(endpoint.removeprefix("http://"), timeout=30)
        fields = urllib.parse.urlencode({"key": pages.keys[ADMIN]})
        # The proxy uses another name for the server, so Sec-Fetch-Site counts, and the header Host does not.
        connection.request("POST", "/sign-in", fields, {"Origin": "https://roles.example.org", "Sec-Fetch-Site": "same-origin"})
        cookie = connection.getresponse().headers["Set-Cookie"] or ""
        connection.close()
    assert cookie.startswith("__Host-")
    assert cookie.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict", "Secure"]


def test_the_cookie_does_not_work_for_the_rest_interface(pages: Site) -> None:
    cookie = cookie_of(pages, pages.keys[ADMIN])
    for path in ("/admin/cloud/role-mappings", f"/project/{pages.churn}/cloud/aws/session-token"):
        assert send(pages, "GET", f"/hopsworks-api/api{path}", Cookie=cookie).status == 401


def test_signing_in_starts_a_new_session_and_signing_out_ends_it(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        first = visit.cookie()
        visit.sign_in(pages.keys[ADMIN])
        second = visit.cookie()
        assert first["value"] != second["value"]
        assert send(pages, "GET", "/", Cookie=f"{first['name']}={first['value']}").status == 303
        follow(visit.page.get_by_role("button", name="Sign out"))
        expect(visit.page.get_by_role("status")).to_have_text("You are signed out.")
        assert visit.context.cookies() == []
        assert send(pages, "GET", "/", Cookie=f"{second['name']}={second['value']}").status == 303


def test_an_idle_session_ends_and_signing_in_leads_back(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        visit.page.goto("/admin/audit?q=ada")
        assert visit.title() == "Audit"
        half_an_hour_ago = int(time.time() * 1000) - 30 * 60 * 1000
        pages.sql("update browser_sessions set used_at = ?", half_an_hour_ago + 20_000)
        visit.page.reload()
        assert visit.title() == "Audit"
        pages.sql("update browser_sessions set used_at = ?", half_an_hour_ago - 1)
        visit.page.reload()
        expect(visit.page.get_by_role("status")).to_have_text("Your session has ended. Sign in to continue.")
        visit.page.get_by_label("API key").fill(pages.keys[ADMIN])
        follow(visit.page.get_by_role("button", name="Sign in"))
        assert visit.page.url == f"{pages.endpoint}/admin/audit?q=ada"


def test_a_session_ends_with_the_key_that_started_it(pages: Site) -> None:
    pages.keys["max@example.org"] = pages.server.command("user", "add", "max@example.org")
    with pages.visit("max@example.org") as visit:
        assert visit.title() == "Home"
        pages.server.command("user", "key", "max@example.org")
        visit.page.reload()
        assert visit.title() == "Sign in"


def test_an_unknown_key_opens_nothing(pages: Site) -> None:
    with pages.visit() as visit:
        visit.sign_in("0123456789ab." + "0" * 64)
        expect(visit.page.get_by_role("alert")).to_contain_text("This API key is not valid.")
        assert visit.context.cookies() == []
        visit.page.goto("/admin/users")
        assert visit.title() == "Sign in"


def test_pages_of_other_users_are_refused(pages: Site) -> None:
    with pages.visit(SCIENTIST) as visit:
        for path in (
            "/admin/role-mappings",
            "/admin/role-mappings/1",
            "/admin/projects",
            "/admin/users",
            "/admin/audit",
            "/projects/2",
            "/projects/99",
        ):
            answer = visit.page.goto(path)
            assert answer is not None and answer.status == 403, path
            assert visit.title() == "You do not have access"
        visit.page.goto(f"/projects/{pages.churn}")
        token, cookie = visit.form_token(), visit.cookie()
    # Only data owners change the default, whichever form is sent.
    fields = {"form_token": token, "id": "3"}
    sent = send(
        pages, "POST", f"/projects/{pages.churn}/default", fields, Cookie=f"{cookie['name']}={cookie['value']}", Origin=pages.endpoint
    )
    assert sent.status == 403
    with pages.visit(OWNER) as visit:
        visit.page.goto(f"/projects/{pages.churn}")
        fields = {"form_token": visit.form_token(), "id": "4"}
        cookie = visit.cookie()
    # Mapping 4 belongs to another project.
    sent = send(
        pages, "POST", f"/projects/{pages.churn}/default", fields, Cookie=f"{cookie['name']}={cookie['value']}", Origin=pages.endpoint
    )
    assert sent.status == 400


def test_every_page_and_file_has_the_security_headers(pages: Site) -> None:
    cookie = cookie_of(pages, pages.keys[ADMIN])
    for path in ("/", "/sign-in", "/admin/role-mappings", "/assets/pages.css", "/nowhere"):
        headers = send(pages, "GET", path, Cookie=cookie, Accept="text/html").headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
    assert send(pages, "GET", "/nowhere").headers["Content-Type"] == "application/json"
    assert send(pages, "POST", "/admin/audit", {}, Cookie=cookie, Origin=pages.endpoint).status == 403


def test_pages_show_text_of_users_as_text(pages: Site) -> None:
    pages.sql("update projects set name = ? where name = 'forecast'", ATTACK)
    role = urllib.parse.quote(ATTACK)
    assert rest(pages, f"/project/{pages.churn}/cloud/aws/session-token?roleARN={role}", pages.keys[SCIENTIST])[0] == 400
    with pages.visit(ADMIN) as visit:
        for path in (
            "/admin/role-mappings",
            "/admin/projects",
            "/admin/projects/2",
            f"/admin/audit?q={role}",
            f"/admin/role-mappings?q={role}",
            "/admin/audit",
        ):
            visit.page.goto(path)
            assert visit.page.title() != "taken"
            assert visit.page.locator("script:not([src])").count() == 0
        visit.page.goto("/admin/projects")
        expect(visit.page.get_by_role("link", name=ATTACK)).to_be_visible()
        visit.page.goto("/admin/audit?q=alan")
        expect(visit.page.locator("tbody")).to_contain_text("<script>document.title")
    pages.sql("update projects set name = 'forecast' where id = 2")


def test_the_log_contains_neither_keys_nor_session_ids(pages: Site) -> None:
    cookie = cookie_of(pages, pages.keys[ADMIN])
    log = pages.server.log.read_text()
    assert READER not in log
    for secret in (*pages.keys.values(), cookie.split("=")[1]):
        assert secret not in log
