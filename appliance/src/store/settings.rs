//! Settings: one record a name, any JSON. A name is the fleet's, or together with a node that node's.
//!
//! Before there were fleets a node's own settings lay under the plain name. They still count, on the node that wrote them
//! and on no other, until it writes its own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Edits, Id, Store, StoreError, value, writer};

impl Edits {
    /// The edits were made from this version of [`Store::setting_with_version`]; if it is another by now, nothing is kept
    /// and the commit says [`StoreError::Stale`].
    pub fn expect_setting(&mut self, name: &str, version: &str) {
        self.expect_version("setting", Id::of_name(name), &[], version);
    }

    /// Sets a setting of one node.
    pub fn put_node_setting(&mut self, node: Id, name: &str, setting: &impl Serialize) {
        self.put_setting(&of_node(node, name), setting);
    }

    /// Sets a setting of the fleet.
    pub fn put_setting(&mut self, name: &str, setting: &impl Serialize) {
        self.put("setting", Id::of_name(name), "value", setting);
    }
}

impl Store {
    /// A setting of this node; none if it was never set or is not what this version reads.
    ///
    /// # Errors
    /// The records cannot be read; likewise below.
    pub fn node_setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        if let Some(record) = self.record("setting", Id::of_name(&of_node(self.node, name)))? {
            return Ok(value(&record, "value"));
        }
        let before = self.record("setting", Id::of_name(name))?;
        let before = before.filter(|record| writer(record, "value") == Some(self.node));
        Ok(before.and_then(|record| value(&record, "value")))
    }

    /// A setting of the fleet; none if it was never set or is not what this version reads.
    #[allow(clippy::missing_errors_doc)]
    pub fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        Ok(self.setting_with_version(name)?.0)
    }

    /// As [`Store::setting`], with what names this state of it.
    #[allow(clippy::missing_errors_doc)]
    pub fn setting_with_version<T: DeserializeOwned>(&self, name: &str) -> Result<(Option<T>, String), StoreError> {
        Ok(match self.record("setting", Id::of_name(name))? {
            Some(record) => (value(&record, "value"), super::version(&record, &[])),
            None => (None, super::version_of_nothing()),
        })
    }
}

/// The name under which a node's own setting is kept. Part of the stored form.
fn of_node(node: Id, name: &str) -> String {
    format!("{name}@{node}")
}
