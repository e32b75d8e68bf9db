//! Settings: one record a name, any JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Edits, Id, Store, StoreError, value};

impl Edits {
    /// Sets a setting.
    pub fn put_setting(&mut self, name: &str, setting: &impl Serialize) {
        self.put("setting", Id::of_name(name), "value", setting);
    }
}

impl Store {
    /// A setting; none if it was never set or is not what this version reads.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        Ok(self.record("setting", Id::of_name(name))?.and_then(|record| value(&record, "value")))
    }
}
