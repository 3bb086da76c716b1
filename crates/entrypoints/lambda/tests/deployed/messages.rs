//! Messages that fail, beside others that do not.

use serde_json::json;

use crate::account::{ACCOUNT, Account, REGION};

#[tokio::test]
async fn a_message_that_is_poison_ends_with_the_dead_letters_and_the_others_are_done() {
    let account = Account::new().await;
    // The function lets a message that failed come again later and later: five times would take minutes.
    account.give_up_after(2).await;
    let start = json!({
        "version": "0", "id": "e-1", "source": "custom.app", "detail-type": "Start ECS Task", "account": ACCOUNT, "region": REGION,
        "time": "2026-11-21T07:00:00Z", "resources": [], "detail": {"service": "auth"},
    });
    account.messages(&["this is poison", &start.to_string()]).await;
    account.all_in_state(1, "ready").await;
    assert_eq!(account.dead_letter().await, "this is poison");
    assert_eq!(account.simulator.tasks().len(), 1);
}
