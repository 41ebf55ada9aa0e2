//! What children find of the base identity of the process that assumed a role.

use super::*;

#[test]
fn what_leads_to_the_base_is_handed_on_from_child_to_child_without_secrets() {
    for (name, value) in [("AWS_PROFILE", "base"), ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials")] {
        let mut held = variables(&[(name, value)]);
        for new in ["A", ROLE, "B"] {
            changes_to(new, &environment(&held, &[])).iter().for_each(|change| apply(&mut held, change));
            assert_eq!(environment(&held, &[]).get(name), Some(value), "{new}");
        }
    }
    let mut held = variables(&[("AWS_ACCESS_KEY_ID", "AKIAbase"), ("AWS_SECRET_ACCESS_KEY", "base secret")]);
    for new in ["A", ROLE] {
        changes_to(new, &environment(&held, &[])).iter().for_each(|change| apply(&mut held, change));
        assert_eq!(environment(&held, &[]).handed_on_key(), Some("AKIAbase"), "{new}");
        assert!(!held.values().any(|value| value == "base secret"));
    }
    held.insert("AWS_PROFILE".to_owned(), "own".to_owned());
    changes_to("C", &environment(&held, &[])).iter().for_each(|change| apply(&mut held, change));
    let child = environment(&held, &[]);
    assert_eq!((child.get("AWS_PROFILE"), child.handed_on_key()), (Some("own"), None));
}
