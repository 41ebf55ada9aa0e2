-- To which Hopsworks cluster this database belongs: there live its users, projects and members. No row: here.
create table identity (
    one bigint not null,
    hopsworks_url text not null,
    constraint identity_key primary key (one),
    constraint identity_is_one check (one = 1)
);

-- Who of that cluster is signed in to the pages. What they signed in with is sealed with a key that follows from the id of the
-- session, which only the browser's cookie holds; the cluster is asked about it again and again.
create table cluster_sessions (
    id_hash text not null,
    sealed_login text not null,
    started_at bigint not null,
    used_at bigint not null,
    constraint cluster_sessions_key primary key (id_hash)
);

create index cluster_sessions_by_use on cluster_sessions (used_at);
