-- One text for SQLite and PostgreSQL. Ids come from `counters` and are never given twice, so that a job that asks for role
-- mapping 3 can never meet another role under that id. Truth values are 0 and 1, instants are milliseconds since 1970.

create table counters (
    noun text not null,
    last bigint not null,
    constraint counters_key primary key (noun)
);

insert into counters (noun, last) values ('user', 0), ('project', 0), ('role mapping', 0);

-- An API key is `<prefix>.<secret>`; only the SHA-256 of the whole key is kept.
create table users (
    id bigint not null,
    email text not null,
    is_admin bigint not null,
    key_prefix text not null,
    key_hash text not null,
    constraint users_key primary key (id),
    constraint users_email_is_known unique (email),
    constraint users_key_prefix_is_taken unique (key_prefix),
    constraint users_is_admin check (is_admin in (0, 1))
);

create table projects (
    id bigint not null,
    name text not null,
    constraint projects_key primary key (id),
    constraint projects_name_is_known unique (name)
);

create table members (
    project_id bigint not null,
    user_id bigint not null,
    project_role text not null,
    constraint members_key primary key (project_id, user_id),
    constraint members_project foreign key (project_id) references projects (id),
    constraint members_user foreign key (user_id) references users (id),
    constraint members_project_role check (project_role in ('DATA_OWNER', 'DATA_SCIENTIST'))
);

create table role_mappings (
    id bigint not null,
    project_id bigint not null,
    project_role text not null,
    role_arn text not null,
    is_default bigint not null,
    constraint role_mappings_key primary key (id),
    constraint role_mappings_role_is_mapped unique (project_id, role_arn),
    constraint role_mappings_project foreign key (project_id) references projects (id),
    constraint role_mappings_project_role check (project_role in ('ALL', 'DATA_OWNER', 'DATA_SCIENTIST')),
    constraint role_mappings_is_default check (is_default in (0, 1))
);

create unique index role_mappings_one_default on role_mappings (project_id, project_role) where is_default = 1;

-- Who asked for which role and what came of it, and every change by an administrator. It refers to nothing by key: what it
-- tells outlives users, projects and role mappings.
create table audit (
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
    constraint audit_key primary key (id),
    constraint audit_action check (action in (
        'session-token', 'user add', 'user key', 'project add', 'member set', 'member remove', 'mapping add',
        'mapping change', 'mapping remove', 'mapping default', 'mapping try'
    )),
    constraint audit_outcome check (outcome in ('granted', 'refused', 'changed'))
);

create index audit_by_time on audit (at);
create index audit_by_access_key_id on audit (access_key_id);
