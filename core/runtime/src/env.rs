//! What the environment of a process says, read once in `main` and passed on as values.

use std::ffi::OsString;

use crate::logging::{self, Colour};

/// The variables of a process.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// All of them; those that configure start with [`crate::config::ENV_PREFIX`].
    pub variables: Vec<(String, String)>,
}

impl Environment {
    /// From what `std::env::vars_os` gives. Bytes that are no text become U+FFFD, and fail where a key needs them.
    #[must_use]
    pub fn of_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text = |bytes: OsString| bytes.to_string_lossy().into_owned();
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }

    /// Whether colours are unwanted: `NO_COLOR` is set to anything but an empty text (<https://no-color.org>).
    #[must_use]
    pub fn no_colour(&self) -> bool {
        self.variables
            .iter()
            .any(|(name, value)| name == "NO_COLOR" && !value.is_empty())
    }

    /// Turns colours off where the configuration leaves them to us and they are unwanted.
    pub fn apply_to(&self, logging: &mut logging::Config) {
        if self.no_colour() && logging.colour == Colour::Auto {
            logging.colour = Colour::Never;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str, value: &str) -> Environment {
        Environment::of_variables([(name.into(), value.into())])
    }

    #[test]
    fn no_color_turns_colours_off_unless_it_is_empty_or_they_are_asked_for() {
        let after = |environment: Environment, colour| {
            let mut config = logging::Config {
                colour,
                ..logging::Config::default()
            };
            environment.apply_to(&mut config);
            config.colour
        };
        let set = || environment("NO_COLOR", "1");
        assert_eq!(after(set(), Colour::Auto), Colour::Never);
        assert_eq!(after(set(), Colour::Always), Colour::Always);
        assert_eq!(
            after(environment("NO_COLOR", ""), Colour::Auto),
            Colour::Auto
        );
        assert_eq!(after(environment("PATH", "1"), Colour::Auto), Colour::Auto);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_no_reason_to_end() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let environment = Environment::of_variables([(odd.clone(), odd)]);
        assert_eq!(environment.variables[0].1, "a\u{fffd}");
    }
}
