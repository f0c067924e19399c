//! The state of a page, in its URL: reading parameters, and writing links.

use std::fmt;

use crate::fault::Fault;

/// A value may not be longer, so that the many links of a page that repeat it stay small.
const VALUE_BYTES_MAX: usize = 4 << 10;

/// The parameters of a URL. Unknown ones are ignored; of one given twice the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the part after `?`. What is not UTF-8 becomes replacement characters.
    pub(crate) fn parse(raw: &str) -> Result<Self, Fault> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        match pairs
            .iter()
            .find(|(_, value)| value.len() > VALUE_BYTES_MAX)
        {
            Some((key, value)) => Err(Fault::input(format!(
                "the parameter `{}` is {} bytes long; at most {VALUE_BYTES_MAX} are read",
                crate::units::clip(key, 40),
                value.len()
            ))),
            None => Ok(Self(pairs)),
        }
    }

    /// A parameter without surrounding space; one that is empty counts as absent, as forms send their empty fields.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// A parameter with the space around it, or the empty text.
    pub(crate) fn raw(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// Every value of a parameter that may be given again, without those that are empty.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.0.iter().filter(move |(name, _)| name == key);
        own.map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The same without the parameters that are not among these.
    pub(crate) fn only(&self, mut known: impl FnMut(&str) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(key, _)| known(key))
                .cloned()
                .collect(),
        )
    }

    /// A parameter, or the empty text.
    pub(crate) fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or_default().to_owned()
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, key: &str, min: u64, max: u64) -> Result<Option<u64>, Fault> {
        self.read(key, |text| match text.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(format!(
                "`{text}` is not a whole number from {min} to {max}"
            )),
        })
    }

    /// A parameter through a parser whose error says what was expected.
    pub(crate) fn read<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Fault> {
        self.get(key)
            .map(parse)
            .transpose()
            .map_err(|reason| Fault::input(format!("{key}: {}", crate::units::clip(&reason, 300))))
    }
}

/// An address within the dashboard, built from a path and parameters.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    path: String,
    params: Vec<(&'static str, String)>,
    fragment: String,
}

impl Link {
    /// An address without parameters. An empty path is the page itself.
    pub(crate) fn to(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            params: Vec::new(),
            fragment: String::new(),
        }
    }

    /// With a parameter set anew, or left away when the value is empty.
    #[must_use]
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.params.retain(|(name, _)| *name != key);
        if !value.is_empty() {
            self.params.push((key, value));
        }
        self
    }

    /// With a place on the page to go to.
    #[must_use]
    pub(crate) fn at(mut self, fragment: impl Into<String>) -> Self {
        self.fragment = fragment.into();
        self
    }

    /// The parameters, for a form's hidden fields.
    pub(crate) fn params(&self) -> &[(&'static str, String)] {
        &self.params
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if !self.params.is_empty() || self.path.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.params);
            write!(f, "?{}", query.finish())?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_and_unknown_parameters_are_as_good_as_absent() {
        let params = Params::parse("q=++&limit=50&limit=9&x=1").unwrap();
        assert_eq!(params.get("q"), None);
        assert_eq!(params.number("limit", 1, 100).unwrap(), Some(50));
        assert_eq!(params.number("rows", 1, 100).unwrap(), None);
    }

    #[test]
    fn a_bad_number_is_named_with_its_bounds() {
        let params = Params::parse("limit=many").unwrap();
        let fault = params.number("limit", 1, 100).unwrap_err();
        assert_eq!(
            fault.message(),
            "limit: `many` is not a whole number from 1 to 100"
        );
        assert!(
            Params::parse("limit=101")
                .unwrap()
                .number("limit", 1, 100)
                .is_err()
        );
    }

    #[test]
    fn a_value_that_is_too_long_is_refused() {
        assert!(Params::parse(&format!("q={}", "a".repeat(5000))).is_err());
    }

    proptest! {
        #[test]
        fn a_link_reads_back_as_its_parameters(q in "\\PC{0,40}", service in "\\PC{1,20}") {
            let link = Link::to("/traces").with("q", q.clone()).with("service", service.clone()).at("top").to_string();
            let raw = link.split_once('?').map_or("", |(_, rest)| rest.split('#').next().unwrap_or_default());
            let params = Params::parse(raw).unwrap();
            prop_assert_eq!(params.text("q"), q.trim());
            prop_assert_eq!(params.text("service"), service.trim());
        }
    }
}
