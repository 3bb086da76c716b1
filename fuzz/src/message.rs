//! A message of an instance's inbox, and an entry of its history, as a store gives them: what parses is written again as it was.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use wharf_provisioning::Message;
use wharf_saga::store::HistoryEntry;

pub fn run(data: &[u8]) {
    same::<Message>(data);
    same::<HistoryEntry>(data);
}

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(data) else {
        return;
    };
    let written = serde_json::to_string(&value).expect("it is JSON");
    let again: T = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("what was written cannot be read, {error}: {written}"));
    assert_eq!(again, value, "{written}");
}
