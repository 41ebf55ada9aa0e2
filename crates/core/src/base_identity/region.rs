//! AWS regions: their form, and the partition that each belongs to.

use crate::error::Error;
use crate::text::quoted;

/// Accepts what can be a label of a host name, because the host name of STS contains the region.
///
/// # Errors
/// [`Error::NotConfigured`] for anything else.
pub(crate) fn parse(text: &str) -> Result<&str, Error> {
    let is_region = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_region {
        Ok(text)
    } else {
        Err(Error::NotConfigured {
            problem: format!("{} is not an AWS region", quoted(text)),
            remedy: "set AWS_REGION to a region such as eu-north-1".to_owned(),
            source: None,
        })
    }
}

/// The partitions: how their regions begin, their name in ARNs, and one of their regions.
///
/// Source: `partitions.json` of the AWS SDKs (their endpoint rules).
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "cn-north-1"),
    ("us-gov-", "aws-us-gov", "us-gov-west-1"),
    ("us-iso-", "aws-iso", "us-iso-east-1"),
    ("us-isob-", "aws-iso-b", "us-isob-east-1"),
    ("eu-isoe-", "aws-iso-e", "eu-isoe-west-1"),
    ("us-isof-", "aws-iso-f", "us-isof-south-1"),
    ("eusc-", "aws-eusc", "eusc-de-east-1"),
];

/// The partition of a region, as ARNs name it.
pub(crate) fn partition(region: &str) -> &'static str {
    let known = PARTITIONS.into_iter().find(|(prefix, ..)| region.starts_with(prefix));
    known.map_or("aws", |(_, partition, _)| partition)
}

/// A region of a partition.
pub(crate) fn of_partition(partition: &str) -> &'static str {
    let known = PARTITIONS.into_iter().find(|(_, name, _)| *name == partition);
    known.map_or("us-east-1", |(.., region)| region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_label_of_a_host_name() {
        assert_eq!(parse("eu-north-1").expect("a region"), "eu-north-1");
        for text in ["", "eu north 1", "EU-NORTH-1", "evil.example/", "-a", &"a".repeat(64)] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse("eu_north").expect_err("not a region").to_string(),
            "\"eu_north\" is not an AWS region; set AWS_REGION to a region such as eu-north-1"
        );
    }

    #[test]
    fn a_region_belongs_to_one_partition() {
        assert_eq!(partition("eu-north-1"), "aws");
        assert_eq!(partition("cn-north-1"), "aws-cn");
        assert_eq!(partition("us-gov-west-1"), "aws-us-gov");
        assert_eq!(partition("us-isob-east-1"), "aws-iso-b");
        for (_, name, region) in PARTITIONS {
            assert_eq!((partition(region), of_partition(name)), (name, region));
        }
        assert_eq!(partition(of_partition("aws")), "aws");
    }
}
