"""Administrators use the pages: role mappings, Try it, projects, members, users, audit."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from rig.aws import role_arn
from tests.pages.site import ADMIN, BASE_ROLE, FOREIGN, OTHER_ACCOUNT, OWNER, READER, SCIENTIST, WRITER, Site, follow

pytestmark = pytest.mark.platform("Pages of the server in Chromium")

MAPPINGS = "/admin/role-mappings"


def add(page: Page, project: str, project_role: str, role: str) -> None:
    """Fills in and sends the form of the role mappings."""
    page.goto(MAPPINGS)
    form = page.locator("section", has=page.get_by_role("heading", name="Add a role mapping"))
    form.get_by_label("Project", exact=True).fill(project)
    form.get_by_label("Project role", exact=True).select_option(label=project_role)
    form.get_by_label("Role ARN").fill(role)
    follow(form.get_by_role("button", name="Add role mapping"))


def ids(page: Page) -> list[str]:
    """Returns the ids of the rows, in the order of the page."""
    return page.locator("tbody td[data-label=Id]").all_inner_texts()


def rest(site: Site, path: str, key: str) -> tuple[int, dict[str, str]]:
    """Sends a GET request to the REST interface. Returns status and body."""
    request = urllib.request.Request(f"{site.endpoint}/hopsworks-api/api{path}", headers={"Authorization": f"ApiKey {key}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def test_without_javascript_a_role_mapping_is_added_changed_and_removed(pages: Site) -> None:
    role = role_arn("made-by-hand")
    with pages.visit(ADMIN, java_script_enabled=False) as visit:
        page = visit.page
        add(page, "forecast", "Data owner", role)
        expect(page.get_by_role("status")).to_have_text("Role mapping added.")
        row = page.get_by_role("row").filter(has_text=role)
        expect(row).to_contain_text("Data owner")

        follow(row.get_by_role("link", name="Change"))
        page.get_by_label("Project role", exact=True).select_option(label="All members")
        page.get_by_label("Role ARN").fill(role + "-2")
        page.get_by_label("Default").check()
        follow(page.get_by_role("button", name="Save"))
        expect(page.get_by_role("status")).to_have_text("Role mapping updated.")
        row = page.get_by_role("row").filter(has_text=role + "-2")
        expect(row).to_contain_text("All members")
        expect(row.locator(".badge")).to_have_text("Default")

        follow(row.get_by_role("link", name="Remove"))
        assert visit.title() == "Remove this role mapping?"
        follow(page.get_by_role("button", name="Remove"))
        expect(page.get_by_role("status")).to_have_text("Role mapping removed.")
        expect(page.get_by_role("row").filter(has_text=role)).to_have_count(0)
    changes = pages.sql(
        "select action, actor, client_address from audit where state_after like ? or state_before like ? order by at", *[f"%{role}%"] * 2
    )
    assert changes == [(f"mapping {change}", ADMIN, "127.0.0.1") for change in ("add", "change", "remove")]


def test_a_refused_form_keeps_what_the_user_typed(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        page = visit.page
        for project, role, problem in [
            ("churn", "reader", "is not of the form arn:<partition>:iam::<account of 12 digits>:role/<path and name>."),
            ("nowhere", READER, 'There is no project "nowhere"; add it under Projects first.'),
            ("churn", READER, f"Project churn already has a role mapping for {READER}; change or remove it."),
        ]:
            add(page, project, "Data scientist", role)
            expect(page.get_by_role("alert")).to_contain_text(problem)
            form = page.locator("form.fields")
            expect(form.get_by_label("Project", exact=True)).to_have_value(project)
            expect(form.get_by_label("Role ARN")).to_have_value(role)
            expect(form.get_by_label("Project role", exact=True)).to_have_value("DATA_SCIENTIST")
        page.goto("/admin/projects")
        page.get_by_label("Name").fill("no name")
        follow(page.get_by_role("button", name="Add project"))
        expect(page.get_by_label("Name")).to_have_value("no name")
        page.goto(f"/admin/projects/{pages.churn}")
        page.get_by_label("E-mail address").fill("nobody@example.org")
        follow(page.get_by_role("button", name="Save member"))
        expect(page.get_by_role("alert")).to_have_text("There is no user nobody@example.org; add them under Users first.")
        expect(page.get_by_label("E-mail address")).to_have_value("nobody@example.org")


def test_role_mappings_are_filtered_sorted_and_paged(pages: Site) -> None:
    pages.server.command("project", "add", "paged")
    for number in range(30):
        pages.server.command("mapping", "add", "paged", "data-owner", role_arn(f"paged-{number:02}"))
    with pages.visit(ADMIN) as visit:
        page = visit.page
        page.goto(MAPPINGS)
        page.get_by_label("Project or role").fill("PAGED")
        follow(page.get_by_role("button", name="Filter"))
        assert len(ids(page)) == 25
        first = ids(page)[0]
        expect(page.get_by_label("Role mapping pages")).to_contain_text("1 to 25 of 30, ")
        follow(page.get_by_role("link", name="Next"))
        assert len(ids(page)) == 5
        follow(page.get_by_role("link", name="Previous"))
        follow(page.get_by_role("columnheader", name="Role ARN").get_by_role("link"))
        follow(page.get_by_role("columnheader", name="Role ARN").get_by_role("link"))
        expect(page.locator("th[aria-sort=descending]")).to_have_text("Role ARN")
        expect(page.locator("tbody tr").first).to_contain_text("paged-29")
        page.get_by_label("Project or role").fill("paged-00")
        follow(page.get_by_role("button", name="Filter"))
        assert ids(page) == [first]
        page.locator("form.filter").get_by_label("Project role", exact=True).select_option(label="All members")
        follow(page.get_by_role("button", name="Filter"))
        expect(page.locator("main")).to_contain_text("No role mappings found.")
    pages.sql("delete from role_mappings where role_arn like '%role/paged-%'")


def test_try_it_shows_the_two_policies_that_make_the_role_reachable(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        page = visit.page
        page.goto(MAPPINGS)
        follow(page.get_by_role("row").filter(has_text=FOREIGN).get_by_role("button", name="Try it"))
        expect(page.get_by_role("heading", name="It does not work")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("AccessDenied")
        expect(page.locator("main")).to_contain_text(f"assumed-role/{BASE_ROLE}/")
        expect(page.locator("main")).to_contain_text("the base identity is in account 000000000000, the role in account 111111111111")

        # Exactly what the page shows goes into the two accounts.
        permission, trust = (page.locator(f"#{name}").inner_text() for name in ("permission", "trust"))
        pages.aws.client("iam").put_role_policy(RoleName=BASE_ROLE, PolicyName="pasted", PolicyDocument=permission)
        follow(page.get_by_role("button", name="Try it"))
        expect(page.get_by_role("heading", name="It does not work")).to_be_visible()
        pages.aws.client("iam", OTHER_ACCOUNT).update_assume_role_policy(RoleName="partner-reader", PolicyDocument=trust)
        follow(page.get_by_role("button", name="Try it"))
        expect(page.get_by_role("heading", name="It works")).to_be_visible()
        access_key_id = page.locator(".good dd").first.inner_text()
    tried = pages.sql(
        "select outcome, session_name, access_key_id from audit where action = 'mapping try' and role_arn = ? order by at", FOREIGN
    )
    assert tried[-3:] == [("refused", "ada-try", None), ("refused", "ada-try", None), ("granted", "ada-try", access_key_id)]
    pages.aws.client("iam").delete_role_policy(RoleName=BASE_ROLE, PolicyName="pasted")


def test_the_page_shows_the_base_identity_and_where_it_comes_from(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        visit.page.goto("/admin/base-identity")
        panel = visit.page.locator(".panel")
        expect(panel).to_contain_text(f"arn:aws:sts::000000000000:assumed-role/{BASE_ROLE}/i-0123456789abcdef0")
        expect(panel).to_contain_text("instance profile")
        expect(panel).to_contain_text("end after one hour at most, because this identity is itself a role")


def test_projects_members_and_users_are_managed_and_a_key_is_shown_once(pages: Site) -> None:
    with pages.visit(ADMIN) as visit:
        page = visit.page
        page.goto("/admin/users")
        page.get_by_label("E-mail address").fill("Emmy@example.org")
        follow(page.get_by_role("button", name="Add user"))
        key = page.locator("#key").inner_text()
        assert re.fullmatch(r"[0-9a-f]{12}\.[0-9a-f]{64}", key)
        page.goto("/admin/users")
        expect(page.get_by_role("row").filter(has_text="emmy@example.org")).to_contain_text(key.split(".")[0])
        assert key not in page.content()

        page.goto("/admin/projects")
        page.get_by_label("Name").fill("galaxies")
        follow(page.get_by_role("button", name="Add project"))
        assert visit.title() == "Project galaxies"
        project = page.url.split("/")[-1].split("?")[0]
        page.get_by_label("E-mail address").fill("emmy@example.org")
        page.get_by_label("Project role", exact=True).select_option(label="Data owner")
        follow(page.get_by_role("button", name="Save member"))
        expect(page.get_by_role("row").filter(has_text="emmy@example.org")).to_contain_text("Data owner")
        assert rest(pages, f"/project/{project}/cloud/role-mappings", key)[0] == 200

        follow(page.get_by_role("link", name="Remove"))
        follow(page.get_by_role("button", name="Remove"))
        expect(page.get_by_role("status")).to_have_text("Member removed.")
        assert rest(pages, f"/project/{project}/cloud/role-mappings", key)[0] == 403

        page.goto("/admin/users")
        follow(page.get_by_role("link", name="New key for emmy@example.org"))
        follow(page.get_by_role("button", name="Create new key"))
        renewed = page.locator("#key").inner_text()
        assert rest(pages, "/admin/cloud/role-mappings/isAvailable", key)[0] == 401
        assert rest(pages, "/admin/cloud/role-mappings/isAvailable", renewed)[0] == 200


def test_the_audit_finds_the_member_by_an_access_key_id_from_cloudtrail(pages: Site) -> None:
    status, token = rest(pages, f"/project/{pages.churn}/cloud/aws/session-token?roleSessionName=night-job", pages.keys[SCIENTIST])
    assert status == 200
    with pages.visit(ADMIN) as visit:
        page = visit.page
        page.goto("/admin/audit")
        page.get_by_label(re.compile("access key id")).fill(token["accessKeyId"].lower())
        follow(page.get_by_role("button", name="Filter"))
        row = page.locator("tbody tr")
        expect(row).to_have_count(1)
        for text in (SCIENTIST, "127.0.0.1", "session-token", "granted", "churn", READER, "night-job", token["accessKeyId"]):
            expect(row).to_contain_text(text)
        assert token["secretAccessKey"] not in page.content() and token["sessionToken"] not in page.content()
        page.get_by_label(re.compile("access key id")).fill("100%_")
        follow(page.get_by_role("button", name="Filter"))
        expect(page.locator("main")).to_contain_text("No records found.")


def test_a_member_sees_their_roles_and_a_data_owner_changes_the_default(pages: Site) -> None:
    with pages.visit(SCIENTIST) as visit:
        page = visit.page
        expect(page.get_by_role("heading", name="Administration")).to_have_count(0)
        follow(page.get_by_role("link", name="churn"))
        expect(page.locator("main")).to_contain_text(READER)
        expect(page.locator("main")).not_to_contain_text(WRITER)
        expect(page.get_by_role("button", name="Make default")).to_have_count(0)
        expect(page.get_by_label("Scala", exact=True)).to_contain_text("CredentialsProvider.assumeRole()")
        page.get_by_role("link", name="Show code for 3").click()
        expect(page.get_by_label("Scala", exact=True)).to_contain_text("CredentialsProvider.assumeRole(CredentialsProvider.getRole(3))")
        expect(page.get_by_label("Python", exact=True)).to_contain_text(
            "credentials_provider.assume_role(credentials_provider.get_role(3))"
        )
    with pages.visit(OWNER) as visit:
        page = visit.page
        page.goto(f"/projects/{pages.churn}")
        follow(page.get_by_role("button", name="Make default 2"))
        expect(page.get_by_role("row").filter(has_text=WRITER)).to_contain_text("Your default")
        expect(page.get_by_role("row").filter(has_text=READER)).to_contain_text("Default for All members")
    assert rest(pages, f"/project/{pages.churn}/cloud/role-mappings/default", pages.keys[OWNER])[1]["cloudRole"] == WRITER
    pages.sql("update role_mappings set is_default = 0 where role_arn = ?", WRITER)
