-- Who is signed in to the pages. Only the SHA-256 of a session's id is kept; the id itself is in the browser's cookie. A
-- session ends with the API key that made it: it counts only while the user still has the key of that prefix.

create table browser_sessions (
    id_hash text not null,
    user_id bigint not null,
    key_prefix text not null,
    started_at bigint not null,
    used_at bigint not null,
    constraint browser_sessions_key primary key (id_hash),
    constraint browser_sessions_user foreign key (user_id) references users (id)
);

create index browser_sessions_by_use on browser_sessions (used_at);
