//! The documented limits on the further fields of AssumeRole, checked before anything is sent.
//!
//! Source: AWS STS API reference, `AssumeRole`: `ExternalId`, `Policy`, `PolicyArns`, `Tags`, `SourceIdentity`.

use crate::error::Error;
use crate::request::Extras;
use crate::text::{is_name_character, quoted};

/// The longest session policy, alone or together with the ARNs of managed policies.
const MAX_POLICY_CHARACTERS: usize = 2048;

/// Refuses fields that STS would refuse.
///
/// # Errors
/// [`Error::InvalidArgument`], which repeats neither external id nor policy.
pub(super) fn check(extras: &Extras) -> Result<(), Error> {
    if let Some(external_id) = &extras.external_id {
        let is_legal = (2..=1224).contains(&external_id.len())
            && external_id.chars().all(|character| is_name_character(character) || ":/".contains(character));
        require(is_legal, "external id", || {
            "it is not 2 to 1224 letters, digits and characters of _+=,.@:/-".to_owned()
        })?;
    }
    if let Some(identity) = &extras.source_identity {
        // It must not begin with `aws:` either; a colon is illegal anyway.
        let is_legal = (2..=64).contains(&identity.len()) && identity.chars().all(is_name_character);
        require(is_legal, "source identity", || {
            format!("{} is not 2 to 64 letters, digits and characters of _+=,.@-", quoted(identity))
        })?;
    }
    check_policies(extras)?;
    check_tags(&extras.tags)
}

fn check_policies(extras: &Extras) -> Result<(), Error> {
    if let Some(policy) = &extras.policy {
        let is_object = serde_json::from_str(policy).is_ok_and(|value: serde_json::Value| value.is_object());
        require(is_object, "session policy", || "it is not a JSON object".to_owned())?;
    }
    require(extras.policy_arns.len() <= 10, "policy ARNs", || {
        format!("there are {} and STS takes at most 10", extras.policy_arns.len())
    })?;
    for arn in &extras.policy_arns {
        let is_policy = (20..=2048).contains(&arn.len())
            && arn.starts_with("arn:aws")
            && arn.split(':').nth(2) == Some("iam")
            && arn.split(':').nth(5).is_some_and(|resource| resource.starts_with("policy/"))
            && arn.bytes().all(|byte| byte.is_ascii_graphic());
        require(is_policy, "policy ARNs", || {
            format!("{} is not of the form arn:<partition>:iam::<account or aws>:policy/<path and name>", quoted(arn))
        })?;
    }
    let length = extras.policy.as_ref().map_or(0, |policy| policy.chars().count())
        + extras.policy_arns.iter().map(String::len).sum::<usize>();
    require(length <= MAX_POLICY_CHARACTERS, "session policy", || {
        format!("it has {length} characters, policy ARNs included, and STS takes at most {MAX_POLICY_CHARACTERS}")
    })
}

fn check_tags(tags: &[(String, String)]) -> Result<(), Error> {
    require(tags.len() <= 50, "tags", || format!("there are {} and STS takes at most 50", tags.len()))?;
    let is_legal = |character: char| character.is_alphanumeric() || character == ' ' || "_.:/=+-@".contains(character);
    for (index, (key, value)) in tags.iter().enumerate() {
        let (key_length, value_length) = (key.chars().count(), value.chars().count());
        require((1..=128).contains(&key_length) && key.chars().all(is_legal), "tags", || {
            format!("the key {} is not 1 to 128 letters, digits, spaces and characters of _.:/=+-@", quoted(key))
        })?;
        require(value_length <= 256 && value.chars().all(is_legal), "tags", || {
            format!("the value of {} is not 0 to 256 letters, digits, spaces and characters of _.:/=+-@", quoted(key))
        })?;
        // STS ignores the case of keys when it compares them.
        let is_first = !tags[..index].iter().any(|(earlier, _)| earlier.to_lowercase() == key.to_lowercase());
        require(is_first, "tags", || format!("the key {} appears twice", quoted(key)))?;
    }
    Ok(())
}

fn require(holds: bool, field: &'static str, reason: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::InvalidArgument { field, reason: reason() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(extras: Extras) -> String {
        check(&extras).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn external_id(text: &str) -> Extras {
        Extras { external_id: Some(text.to_owned()), ..Extras::default() }
    }

    fn policy(text: &str, arns: &[&str]) -> Extras {
        Extras {
            policy: Some(text.to_owned()),
            policy_arns: arns.iter().map(|arn| (*arn).to_owned()).collect(),
            ..Extras::default()
        }
    }

    fn tags(tags: &[(&str, &str)]) -> Extras {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Extras { tags, ..Extras::default() }
    }

    #[test]
    fn an_empty_request_is_legal() {
        assert_eq!(message(Extras::default()), "");
    }

    #[test]
    fn an_external_id_is_checked_and_never_repeated() {
        assert_eq!(message(external_id("a:/b@c")), "");
        let refused = "invalid external id: it is not 2 to 1224 letters, digits and characters of _+=,.@:/-";
        for illegal in ["", "a", "canary id", &"a".repeat(1225)] {
            assert_eq!(message(external_id(illegal)), refused);
        }
    }

    #[test]
    fn a_source_identity_does_not_begin_with_aws() {
        let identity = |text: &str| Extras { source_identity: Some(text.to_owned()), ..Extras::default() };
        assert_eq!(message(identity("meb10000")), "");
        assert_eq!(
            message(identity("aws:me")),
            "invalid source identity: \"aws:me\" is not 2 to 64 letters, digits and characters of _+=,.@-"
        );
    }

    #[test]
    fn a_session_policy_is_json_of_at_most_2048_characters_with_its_arns() {
        assert_eq!(message(policy(r#"{"Version":"2012-10-17"}"#, &["arn:aws:iam::aws:policy/ReadOnlyAccess"])), "");
        assert_eq!(message(policy("canary", &[])), "invalid session policy: it is not a JSON object");
        let long = format!(r#"{{"a":"{}"}}"#, "b".repeat(2040));
        assert_eq!(long.len(), 2048);
        assert_eq!(message(policy(&long, &[])), "");
        assert_eq!(
            message(policy(&long, &["arn:aws:iam::aws:policy/R"])),
            "invalid session policy: it has 2073 characters, policy ARNs included, and STS takes at most 2048"
        );
    }

    #[test]
    fn there_are_at_most_ten_policy_arns_and_each_is_that_of_a_policy() {
        let arn = "arn:aws-cn:iam::123456789012:policy/team/read";
        assert_eq!(message(policy("{}", &[arn; 10])), "");
        assert_eq!(message(policy("{}", &[arn; 11])), "invalid policy ARNs: there are 11 and STS takes at most 10");
        assert_eq!(
            message(policy("{}", &["arn:aws:iam::123456789012:role/reader"])),
            "invalid policy ARNs: \"arn:aws:iam::123456789012:role/reader\" is not of the form \
             arn:<partition>:iam::<account or aws>:policy/<path and name>"
        );
    }

    #[test]
    fn tags_are_checked_as_sts_does() {
        assert_eq!(message(tags(&[("Projekt Ö", "churn"), ("empty", "")])), "");
        assert_eq!(
            message(tags(&[("a;b", "c")])),
            "invalid tags: the key \"a;b\" is not 1 to 128 letters, digits, spaces and characters of _.:/=+-@"
        );
        assert_eq!(
            message(tags(&[("a", "canary;")])),
            "invalid tags: the value of \"a\" is not 0 to 256 letters, digits, spaces and characters of _.:/=+-@"
        );
        assert_eq!(message(tags(&[("Team", "a"), ("team", "b")])), "invalid tags: the key \"team\" appears twice");
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert_eq!(message(tags(&many)), "invalid tags: there are 51 and STS takes at most 50");
    }
}
