//! Users: who may call the server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hops_credentials_core::role::ProjectRole;
use hops_credentials_core::text::{is_name_character, quoted};
use serde_json::json;
use sqlx::{AnyExecutor, AssertSqlSafe};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::api_key::{ApiKey, has_hash, hash_key, read_prefix};
use crate::audit::{self, Action, Actor};
use crate::database::damaged::{self, DamagedRow, Stored};
use crate::database::error::is_conflict;
use crate::database::{Database, next_id};
use crate::error::Error;
use crate::like;
use crate::project::Project;

/// An e-mail address, in lower case: the name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Takes an address as a cluster writes it. It is compared letter by letter, so two users of a cluster never become one.
    pub fn from_cluster(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The address as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as STS takes it for a source identity: 2 to 64 letters, digits and characters of `_+=,.@-`, never cut or replaced.
    ///
    /// # Errors
    /// The reason why STS would refuse it, which names the address.
    pub fn source_identity(&self) -> Result<&str, String> {
        if (2..=64).contains(&self.0.len()) && self.0.chars().all(is_name_character) {
            Ok(&self.0)
        } else {
            let address = quoted(&self.0);
            Err(format!(
                "{address} cannot be a source identity, which has 2 to 64 letters, digits and characters of _+=,.@-"
            ))
        }
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_legal = text.len() <= 254
            && text.chars().all(is_visible)
            && text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if is_legal { Ok(Self(text.to_lowercase())) } else { Err("an e-mail address looks like name@example.org") }
    }
}

/// Whether people see the character, and see it where it stands: two addresses that look alike are one.
fn is_visible(character: char) -> bool {
    let is_printed = match character.general_category_group() {
        GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other => false,
        GeneralCategoryGroup::Letter
        | GeneralCategoryGroup::Mark
        | GeneralCategoryGroup::Number
        | GeneralCategoryGroup::Punctuation
        | GeneralCategoryGroup::Symbol => true,
    };
    // Invisible letters and marks (Default_Ignorable_Code_Point of DerivedCoreProperties.txt), and the empty braille cell.
    let is_ignorable = matches!(character,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
    is_printed && !is_ignorable
}

/// A user: somebody who may call the server.
#[derive(Debug, Clone)]
pub struct User {
    /// The address.
    pub email: Email,
    /// Whether the user is an administrator.
    pub is_admin: bool,
    /// The place that knows the user's projects.
    pub membership: Membership,
}

/// The place that knows the projects of a user.
#[derive(Debug, Clone)]
pub enum Membership {
    /// The database knows them, under this id of the user.
    Stored(i64),
    /// The cluster has just listed them.
    FromCluster(Arc<[(Project, ProjectRole)]>),
}

/// Refuses a user who exists.
///
/// # Errors
/// [`Error::UserExists`], [`Error::Database`].
pub async fn check_is_new(database: &Database, email: &Email) -> Result<(), Error> {
    match find_id(database.pool(), email).await {
        Ok(_) => Err(Error::UserExists(email.to_string())),
        Err(Error::NoSuchUser(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Adds a user with this API key.
///
/// # Errors
/// [`Error::UserExists`], [`Error::Database`]; then nothing has changed.
pub async fn add(database: &Database, actor: &Actor, email: &Email, is_admin: bool, key: &ApiKey) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let id = next_id(&mut transaction, "user").await?;
    sqlx::query("insert into users (id, email, is_admin, key_prefix, key_hash) values ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(email.as_str())
        .bind(i64::from(is_admin))
        .bind(read_prefix(key.reveal()))
        .bind(hash_key(key.reveal()))
        .execute(&mut *transaction)
        .await
        .map_err(|error| if is_conflict(&error) { Error::UserExists(email.to_string()) } else { error.into() })?;
    let after = json!({"email": email.as_str(), "admin": is_admin, "keyPrefix": read_prefix(key.reveal())});
    audit::record_change(&mut transaction, actor, Action::UserAdd, None, None, Some(after)).await?;
    transaction.commit().await?;
    Ok(())
}

/// Replaces the API key of a user by this one; the old one is void.
///
/// # Errors
/// [`Error::NoSuchUser`], [`Error::Database`]; then nothing has changed.
pub async fn renew_key(database: &Database, actor: &Actor, email: &Email, key: &ApiKey) -> Result<(), Error> {
    let mut transaction = database.begin_write().await?;
    let id = find_id(&mut *transaction, email).await?;
    let before: Stored<String> =
        sqlx::query_scalar("select key_prefix from users where id = $1").bind(id).fetch_one(&mut *transaction).await?;
    sqlx::query("update users set key_prefix = $1, key_hash = $2 where id = $3")
        .bind(read_prefix(key.reveal()))
        .bind(hash_key(key.reveal()))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    let state = |prefix: &str| Some(json!({"email": email.as_str(), "keyPrefix": prefix}));
    let (before, after) = (state(&before.value().unwrap_or_default()), state(read_prefix(key.reveal())));
    audit::record_change(&mut transaction, actor, Action::UserKey, None, before, after).await?;
    transaction.commit().await?;
    Ok(())
}

/// Id, address, right, and one more text.
type Row = (i64, Stored<String>, Stored<i64>, Stored<String>);

/// Finds whose API key this is.
pub async fn find_by_key(database: &Database, key: &str) -> Result<Option<User>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("select id, email, is_admin, key_hash from users where key_prefix = $1")
        .bind(read_prefix(key))
        .fetch_optional(database.pool())
        .await?;
    let found = row.filter(|(_, _, _, key_hash)| key_hash.clone().value().is_some_and(|hash| has_hash(key, &hash)));
    Ok(found.and_then(|(id, email, is_admin, _)| damaged::keep(read(id, email, is_admin))))
}

/// Reads the user with this id.
///
/// # Errors
/// [`DamagedRow`] when the address or the right is not one: then nobody is this user.
pub fn read(id: i64, email: Stored<String>, is_admin: Stored<i64>) -> Result<User, DamagedRow> {
    let read = || {
        let email = email.read("email", |text| text.parse::<Email>().map(|_| Email(text)))?;
        Ok(User { email, is_admin: is_admin.read_flag("is_admin")?, membership: Membership::Stored(id) })
    };
    read().map_err(|damage| {
        let remedy = format!("correct it with: update users set email = 'EMAIL', is_admin = 0 where id = {id}");
        DamagedRow::new(format!("user {id}"), "users", damage, remedy)
    })
}

/// Counts the users whose address, or the prefix of whose key, contains `text`, in any case.
pub async fn count(database: &Database, text: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from users where lower(email) like $1 escape '!' or key_prefix like $1 escape '!'",
    )
    .bind(like::contains(text))
    .fetch_one(database.pool())
    .await
}

/// Lists these users with the prefixes of their keys, in the order of their names: at most `limit`, after the first `offset`.
pub async fn search(
    database: &Database,
    text: &str,
    offset: i64,
    limit: i64,
) -> Result<Vec<(User, String)>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
        "select id, email, is_admin, key_prefix from users \
         where lower(email) like $1 escape '!' or key_prefix like $1 escape '!' \
         order by email collate {} limit $2 offset $3",
        database.binary()
    )))
    .bind(like::contains(text))
    .bind(limit)
    .bind(offset)
    .fetch_all(database.pool())
    .await?;
    let keep = |(id, email, is_admin, prefix): Row| {
        Some((damaged::keep(read(id, email, is_admin))?, prefix.value().unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(keep).collect())
}

/// Finds the id of the user with this address.
///
/// # Errors
/// [`Error::NoSuchUser`], [`Error::Database`].
pub async fn find_id(executor: impl AnyExecutor<'_>, email: &Email) -> Result<i64, Error> {
    let id = sqlx::query_scalar("select id from users where email = $1")
        .bind(email.as_str())
        .fetch_optional(executor)
        .await?;
    id.ok_or_else(|| Error::NoSuchUser(email.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_is_stored_in_lower_case_and_has_two_parts() {
        let email: Email = "Ada.Lovelace@Example.ORG".parse().expect("an address");
        assert_eq!(email.as_str(), "ada.lovelace@example.org");
        assert_eq!(email.local_part(), "ada.lovelace");
        for character in
            "\u{ad}\u{200b}\u{200e}\u{202e}\u{2028}\u{2060}\u{feff}\u{34f}\u{3164}\u{fe0f}\u{e0041}\u{e000}\u{0}\u{85}"
                .chars()
        {
            assert!(format!("ada{character}@example.org").parse::<Email>().is_err(), "{character:?}");
        }
        for text in ["älma@example.org", "o'hara+x@example.org", "李@例子.org"] {
            assert!(text.parse::<Email>().is_ok(), "{text:?}");
        }
        for text in ["", "ada", "@example.org", "ada@", "a da@example.org", "ada@example.org\n", &"a".repeat(300)] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }
    #[test]
    fn a_source_identity_is_the_whole_address_or_none() {
        let identity = |text: &str| Email::from_cluster(text).source_identity().map(str::to_owned);
        for legal in ["ab", "ada@example.org", "A_b+c=d,e.f@g-h", &"x".repeat(64)] {
            assert_eq!(identity(legal).as_deref(), Ok(legal));
        }
        for illegal in
            ["", "a", &"x".repeat(65), "älma@example.org", "o'hara@example.org", "a b", "a/b", "a:b", "ab\n", "李李"]
        {
            let refused = identity(illegal).expect_err(illegal);
            assert!(refused.contains("cannot be a source identity"), "{refused}");
        }
    }
}
