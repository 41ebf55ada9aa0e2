"""The executor of Spark that started this process: it has the roles that the driver assumed, and hands them out on loopback."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from http.client import HTTPException

from ._errors import UnavailableError
from ._source import Fetched, Request

#: The variable by which an executor leads the programs that it starts to its endpoint.
_URL = "HOPS_CREDENTIALS_EXECUTOR"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_PATIENCE_SECONDS = 10.0


def newest(asked: Request) -> Fetched | None:
    """Returns the newest credentials of a role that the application has assumed; None for another one, and elsewhere.

    Raises UnavailableError when the executor has none that are good.
    """
    url = os.environ.get(_URL)
    if not url or asked != Request(asked.role_arn):
        return None
    query = f"?role={urllib.parse.quote(asked.role_arn, safe='')}" if asked.role_arn else ""
    request = urllib.request.Request(url + query, headers={"Authorization": os.environ.get(_TOKEN, "")})
    try:
        # No proxy reaches the loopback of this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=_PATIENCE_SECONDS) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as refusal:
        if refusal.code == 404:
            return None
        raise UnavailableError(f"the Spark executor of this process gives no credentials: {refusal.read().decode()}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise UnavailableError(f"the Spark executor of this process gives no credentials: {error}") from error
    expiration = datetime.fromisoformat(found["Expiration"].replace("Z", "+00:00")).timestamp()
    return Fetched(found["AccessKeyId"], found["SecretAccessKey"], found["Token"], expiration, found["RoleArn"], expiration - time.time())
