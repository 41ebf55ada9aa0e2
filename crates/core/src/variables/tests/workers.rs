//! The changes for Python workers on executors are those of the table.

use super::super::workers::EXECUTOR;
use super::*;

#[test]
fn workers_of_an_executor_are_led_to_an_endpoint_by_the_changes_of_the_table() {
    let with_files =
        [("AWS_CONFIG_FILE", "/config"), ("AWS_SHARED_CREDENTIALS_FILE", "/credentials"), ("BOTO_CONFIG", "/boto")];
    let made: BTreeMap<_, _> = endpoint_changes(&environment(&variables(&with_files), &[])).into_iter().collect();
    for (name, change) in changes_for_workers() {
        let expected = match change {
            EndpointChange::Url => Some(URL),
            EndpointChange::Token => Some("canary-token"),
            EndpointChange::TokenFile => Some("/run/token"),
            EndpointChange::NoProxy => Some("127.0.0.1"),
            EndpointChange::Removed => None,
            EndpointChange::ValueOf(led) => {
                assert!(HANDED_ON.contains(&(led, name)), "{name}");
                continue;
            }
            EndpointChange::EmptyFile => {
                assert!(with_files.iter().any(|(file, _)| *file == name), "{name}");
                continue;
            }
        };
        if fsspec::FSSPEC.contains(&name) || name == EXECUTOR {
            continue;
        }
        assert_eq!(made.get(name).map(|value| value.as_deref().map(String::as_str)), Some(expected), "{name}");
    }
    let names: Vec<_> = changes_for_workers().map(|(name, _)| name).collect();
    for name in with_files.map(|(name, _)| name) {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}");
    }
}
