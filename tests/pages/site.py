"""The site that the tests of the pages visit: a server with a base identity in one account, roles in two accounts, and a browser."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from rig.aws import ACCOUNT, REGION, Aws, emulator, reads, role_arn, trusts
from rig.metadata import metadata
from rig.server import RoleServer

OTHER_ACCOUNT = "111111111111"
BASE_ROLE = "hop-base"
ADMIN = "ada@example.org"
OWNER = "grace@example.org"
SCIENTIST = "alan@example.org"
READER = role_arn("churn-reader")
WRITER = role_arn("churn-writer")
#: In another account; neither of the two policies exists yet.
FOREIGN = role_arn("partner-reader", OTHER_ACCOUNT)

#: Root cannot use the sandbox, and the browser must not call its vendor.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


#: Every wait ends early on success, so only a failure takes this long. A browser on a busy machine is slow.
_TIMEOUT_MS = 30_000
expect.set_options(timeout=_TIMEOUT_MS)


@dataclasses.dataclass(frozen=True)
class Site:
    """A running server with two projects, and a browser."""

    aws: Aws
    server: RoleServer
    endpoint: str
    browser: Browser
    #: API keys by e-mail address.
    keys: dict[str, str]
    #: The id of the project that all three users share.
    churn: str

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs a statement on the database, beside the server."""
        with sqlite3.connect(self.server.database, timeout=10) as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def visit(self, email: str | None = None, **options: Any) -> Iterator[Visit]:
        """Opens a separate browser window, signed in if an address is given; fails if the browser complained or called another server."""
        context = self.browser.new_context(base_url=self.endpoint, **options)
        context.set_default_timeout(_TIMEOUT_MS)
        visit = Visit(self, context, context.new_page())
        visit.page.on("console", lambda message: visit.complaints.append(message.text) if message.type in ("error", "warning") else None)
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        try:
            if email:
                visit.sign_in(self.keys[email])
            yield visit
            assert [url for url in visit.requests if not url.startswith(self.endpoint + "/")] == []
            assert [complaint for complaint in visit.complaints if "Failed to load resource" not in complaint] == []
        finally:
            context.close()


@dataclasses.dataclass
class Visit:
    """A browser window on the site."""

    site: Site
    context: BrowserContext
    page: Page
    #: Errors and warnings of the console.
    complaints: list[str] = dataclasses.field(default_factory=list)
    #: The address of every request.
    requests: list[str] = dataclasses.field(default_factory=list)

    def sign_in(self, key: str) -> None:
        """Fills in and sends the sign-in form."""
        self.page.goto("/sign-in")
        self.page.get_by_label("API key").fill(key)
        follow(self.page.get_by_role("button", name="Sign in"))

    def title(self) -> str:
        """Returns the heading of the page."""
        return self.page.get_by_role("heading", level=1).inner_text()

    def cookie(self) -> dict[str, Any]:
        """Returns the only cookie."""
        (cookie,) = self.context.cookies()
        return dict(cookie)

    def form_token(self) -> str:
        """Returns the token in the forms of this page."""
        return self.page.locator("input[name=form_token]").first.input_value()


def follow(link: Locator) -> None:
    """Clicks on a link or button and waits for the next page. A click alone may return while the old page is still there."""
    with link.page.expect_navigation():
        link.click()


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """Runs the site for the length of the `with` block."""
    with emulator(directory) as aws:
        ec2 = aws.user("ec2-service", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role_arn(BASE_ROLE)})
        aws.bucket("churn", {"test.csv": "1,one\n"})
        base = aws.role(BASE_ROLE, trusts(f"arn:aws:iam::{ACCOUNT}:user/ec2-service"))
        aws.client("iam").put_role_policy(
            RoleName=BASE_ROLE,
            PolicyName="mapped",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [READER, WRITER]}]}
            ),
        )
        aws.role("churn-reader", trusts(base), reads("churn"))
        aws.role("churn-writer", trusts(base), reads("churn"))
        aws.role("partner-reader", trusts(f"arn:aws:iam::{OTHER_ACCOUNT}:user/nobody"), reads("churn"), account=OTHER_ACCOUNT)
        with metadata(aws, ec2, base) as instance, sync_playwright() as playwright:
            server = RoleServer(
                directory / "server",
                {
                    "AWS_EC2_METADATA_DISABLED": "false",
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": instance,
                    "AWS_ENDPOINT_URL_STS": aws.endpoint,
                    "AWS_REGION": REGION,
                },
            )
            keys = {ADMIN: server.command("user", "add", ADMIN, "--admin")}
            churn = server.command("project", "add", "churn")
            server.command("project", "add", "forecast")
            keys[OWNER] = server.member(churn, OWNER, "data-owner")
            keys[SCIENTIST] = server.member(churn, SCIENTIST, "data-scientist")
            server.command("mapping", "add", "churn", "all", READER, "--default")
            server.command("mapping", "add", "churn", "data-owner", WRITER)
            server.command("mapping", "add", "churn", "data-scientist", role_arn("churn-sandbox"))
            server.command("mapping", "add", "forecast", "all", FOREIGN)
            with server.serve() as (endpoint, _):
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
                try:
                    yield Site(aws, server, endpoint, browser, keys, churn)
                finally:
                    browser.close()
