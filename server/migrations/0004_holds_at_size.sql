-- The audit without a list of its actions, so that a new action is not a new table; what a theft of a key needs to know; indexes for what
-- people search by; what a role mapping tells STS. `{binary}` is the database's name for an order byte by byte.

-- The oldest migration whose program may use this schema. A migration that takes something away raises it; see the operator's guide.
create table schema_compatibility (
    one bigint not null,
    oldest_migration bigint not null,
    constraint schema_compatibility_key primary key (one),
    constraint schema_compatibility_is_one check (one = 1)
);

insert into schema_compatibility (one, oldest_migration) values (1, 4);

-- A row of a request for credentials is `asked` until its outcome is known: it is written before STS is called. `times` counts equal
-- refusals, from `at` to `last_at`.
create table audit_rows (
    id text not null,
    at bigint not null,
    actor text not null,
    client_address text,
    action text not null,
    outcome text not null,
    project_id bigint,
    project_name text,
    role_arn text,
    session_name text,
    duration_seconds bigint,
    access_key_id text,
    sts_request_id text,
    reason text,
    state_before text,
    state_after text,
    key_prefix text,
    project_role text,
    mapping_id bigint,
    source_identity text,
    times bigint not null default 1,
    last_at bigint,
    constraint audit_rows_key primary key (id)
);

insert into audit_rows (id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, session_name,
    duration_seconds, access_key_id, sts_request_id, reason, state_before, state_after)
select id, at, actor, client_address, action, outcome, project_id, project_name, role_arn, session_name,
    duration_seconds, access_key_id, sts_request_id, reason, state_before, state_after from audit;

drop table audit;

alter table audit_rows rename to audit;

create index audit_by_time on audit (at, id);
create index audit_by_access_key_id on audit (access_key_id, at) where access_key_id is not null;
create index audit_by_actor on audit (actor, at);
create index audit_by_project on audit (project_id, at) where project_id is not null;
create index audit_by_role on audit (role_arn, at) where role_arn is not null;
create index audit_by_outcome on audit (outcome, at);

create index members_by_user on members (user_id);

create index projects_by_name on projects (name collate {binary}, id);
create index role_mappings_by_role on role_mappings (role_arn collate {binary}, id);
create index role_mappings_by_project_role on role_mappings (project_role collate {binary}, id);

-- The value that the role's trust policy compares with sts:ExternalId. Whether the member's e-mail address goes to STS as SourceIdentity.
alter table role_mappings add column external_id text;
alter table role_mappings add column source_identity bigint not null default 0;
