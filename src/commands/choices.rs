//! The choices of options whose types belong to crates below, with their help.

use clap::ValueEnum;

/// What becomes of a shown name.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum NamesArg {
    /// Without emoji, every letter kept
    #[default]
    Clean,
    /// As the first version of these tables had them; damages names in many scripts
    Legacy,
}

impl From<NamesArg> for types::settings::Names {
    fn from(names: NamesArg) -> Self {
        match names {
            NamesArg::Clean => Self::Clean,
            NamesArg::Legacy => Self::Legacy,
        }
    }
}

/// What a retweet adds to the hashtags.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum RetweetsArg {
    /// Its own, as the API gives them: those of the original, as far as they lie before the cut
    #[default]
    AsSent,
    /// None: hashtags count once for the original, however often it is retweeted
    None,
}

impl From<RetweetsArg> for types::settings::Retweets {
    fn from(retweets: RetweetsArg) -> Self {
        match retweets {
            RetweetsArg::AsSent => Self::AsSent,
            RetweetsArg::None => Self::None,
        }
    }
}

/// Kind of database server.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ServerKind {
    /// MariaDB
    #[value(name = "mariadb")]
    MariaDb,
    /// MySQL
    #[value(name = "mysql")]
    MySql,
}

impl From<ServerKind> for sink::mysql::ServerFamily {
    fn from(kind: ServerKind) -> Self {
        match kind {
            ServerKind::MariaDb => Self::MariaDb,
            ServerKind::MySql => Self::MySql,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NamesArg, RetweetsArg};
    use clap::ValueEnum;

    fn name(choice: &impl ValueEnum) -> String {
        choice.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// The fingerprint of a job holds these words.
    #[test]
    fn a_rule_is_called_as_its_option_says() {
        for names in NamesArg::value_variants() {
            assert_eq!(name(names), types::settings::Names::from(*names).to_string());
        }
        for retweets in RetweetsArg::value_variants() {
            assert_eq!(name(retweets), types::settings::Retweets::from(*retweets).to_string());
        }
    }
}
