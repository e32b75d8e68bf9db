//! Settings: one record a name, any JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Edits, Id, Store, StoreError, value};

impl Edits {
    /// The edits were made from this version of [`Store::setting_with_version`]; if it is another by now, nothing is kept
    /// and the commit says [`StoreError::Stale`].
    pub fn expect_setting(&mut self, name: &str, version: &str) {
        self.expect_version("setting", Id::of_name(name), &[], version);
    }

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
