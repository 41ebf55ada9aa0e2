//! Who reads the cause of an error: administrators and the log. Members read what they can do, and the id that leads to the cause.

use crate::session_token::{audit, churn};
use crate::world::{World, on_both_stores};

on_both_stores! {
    fn the_audit_has_the_whole_reason_whatever_the_caller_wrote(world: &World) {
        let churn = churn(world);
        let refused = churn.get("roleSessionName=job%3B%20try%20again%20in%20a%20year", &churn.scientist);
        let (status, _, text) = refused.error();
        assert!(status == 400 && text.contains("job; try again in a year"), "{text}");
        assert_eq!(audit(world)[0][11], text);
    }
}
