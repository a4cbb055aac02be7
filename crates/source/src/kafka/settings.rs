//! The operator's settings of the Kafka client: checked one by one, named in errors, never shown.
//!
//! Any of them may be a secret, also under a name that is misspelt; and the library repeats values
//! in its errors and log lines. What comes from the library goes through [`Hidden`] before it is
//! shown.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::sync::Arc;

/// What is wrong with one setting.
pub enum SettingFault {
    /// The library has no setting of this name.
    Unknown,
    /// It has, but not with this value.
    Value,
}

/// Looks at one setting on its own.
pub fn check(name: &str, value: &str) -> Result<(), SettingFault> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Err(SettingFault::Unknown)
        }
        Err(_) => Err(SettingFault::Value),
    }
}

/// Whether a list of brokers holds more than hosts and ports: a user and a password, probably.
pub fn is_no_address(brokers: &str) -> bool {
    brokers.contains('@')
}

/// Takes the values of settings out of texts.
#[derive(Clone, Default)]
pub struct Hidden(Arc<[(String, String)]>);

impl Hidden {
    /// Of these settings, by name and value.
    pub fn new(settings: &[(String, String)]) -> Self {
        // Short words stand in any text.
        let is_telling = |value: &str| value.len() > 3 && value != "true" && value != "false";
        let mut hidden: Vec<_> =
            settings.iter().filter(|(_, value)| is_telling(value)).cloned().collect();
        // One value may be a part of another.
        hidden.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Hidden(hidden.into())
    }

    /// The text with the settings' names in place of their values.
    pub fn text(&self, text: &str) -> String {
        let hide = |shown: String, (name, value): &(String, String)| {
            shown.replace(value.as_str(), &format!("<{name}>"))
        };
        self.0.iter().fold(text.to_owned(), hide)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hidden, SettingFault, check};

    #[test]
    fn a_setting_is_checked_alone() {
        assert!(matches!(check("sasl.passwrod", "hunter2"), Err(SettingFault::Unknown)));
        assert!(matches!(check("linger.ms", "hunter2"), Err(SettingFault::Value)));
        assert!(check("linger.ms", "20").is_ok());
    }

    #[test]
    fn values_are_hidden_in_texts() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let hidden = Hidden::new(&[pair("a", "hunter"), pair("b", "hunter2"), pair("c", "1")]);
        assert_eq!(hidden.text("hunter2, hunter and 1"), "<b>, <a> and 1");
    }
}
