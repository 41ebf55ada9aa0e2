"""The roles that are mapped to the project."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class RoleMapping:
    """Members with this project role may assume this role."""

    #: The number by which `get_role` finds it, from 1.
    id: int
    #: The ARN of the role.
    role_arn: str
    #: `Data owner`, `Data scientist` or `ALL`.
    project_role: str
    #: Whether this is the role when none is named.
    is_default: bool
