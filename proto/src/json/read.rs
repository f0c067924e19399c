//! Reading: serde_json parses, this turns what it finds into messages and knows the path to it.

use std::{cell::RefCell, fmt, marker::PhantomData};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    JsonError,
    codec::{Codec, Fields},
};

/// Nested messages below the request: prost's limit.
const NESTED_MESSAGES_MAX: u8 = 100;

/// Reads a whole document as one message.
pub(super) fn read_document<M: Fields>(json: &[u8]) -> Result<M, JsonError> {
    let path = Path::default();
    let context = Context {
        path: &path,
        nested_messages_left: NESTED_MESSAGES_MAX,
    };
    let mut input = serde_json::Deserializer::from_slice(json);
    // The context has a limit of its own, and what is ignored is skipped without recursion.
    input.disable_recursion_limit();
    let message = read_message(&mut input, context).and_then(|message| {
        input.end()?;
        message.ok_or_else(|| Error::custom("expected an object, found null"))
    });
    message.map_err(|error| JsonError {
        line: error.line(),
        column: error.column(),
        path: path.to_string(),
        message: without_position(&error),
    })
}

/// serde_json ends its messages with the position, which is told apart here.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => message,
    }
}

/// Where reading is.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    path: &'a Path,
    nested_messages_left: u8,
}

/// The way to what is being read. A step is taken back only when its value was read: after an error, the path leads to
/// the place.
#[derive(Default)]
struct Path(RefCell<Vec<Step>>);

enum Step {
    Field(&'static str),
    Element(usize),
}

impl Context<'_> {
    fn at<T, E>(self, step: Step, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.path.0.borrow_mut().push(step);
        let value = read()?;
        self.path.0.borrow_mut().pop();
        Ok(value)
    }

    /// The context within a nested message.
    pub(super) fn nested<E: Error>(self) -> Result<Self, E> {
        let too_deep = || {
            E::custom(format_args!(
                "nested deeper than {NESTED_MESSAGES_MAX} messages"
            ))
        };
        let nested_messages_left = self
            .nested_messages_left
            .checked_sub(1)
            .ok_or_else(too_deep)?;
        Ok(Self {
            nested_messages_left,
            ..self
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.borrow().iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Element(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Reads an object as a message.
pub(super) fn read_message<'de, M: Fields, D: Deserializer<'de>>(
    input: D,
    context: Context<'_>,
) -> Result<Option<M>, D::Error> {
    accept(input, FieldsOf(context, PhantomData))
}

struct FieldsOf<'a, M>(Context<'a>, PhantomData<M>);

impl<'de, M: Fields> Accept<'de> for FieldsOf<'_, M> {
    type Value = M;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(self, mut input: A) -> Result<M, A::Error> {
        let Self(context, _) = self;
        let mut message = M::default();
        let mut seen = 0_u64;
        while let Some(known) = input.next_key_seed(NameIn(M::NAMES))? {
            let Some(index) = known else {
                input.next_value::<IgnoredAny>()?;
                continue;
            };
            let name = M::NAMES.get(index).copied().unwrap_or_default();
            context.at(Step::Field(name), || {
                if seen & (1 << index) != 0 {
                    return Err(A::Error::custom("the field stands twice"));
                }
                seen |= 1 << index;
                message.read_field(name, &mut input, context)
            })?;
        }
        Ok(message)
    }
}

/// Reads the value of a key; `None` for null.
pub(super) fn read_value<'de, C: Codec, A: MapAccess<'de>>(
    input: &mut A,
    context: Context<'_>,
) -> Result<Option<C::Value>, A::Error> {
    input.next_value_seed(Seed::<C>(context, PhantomData))
}

/// Reads a list; an element that is null is its default.
pub(super) fn read_list<'de, C: Codec, D: Deserializer<'de>>(
    input: D,
    context: Context<'_>,
) -> Result<Option<Vec<C::Value>>, D::Error> {
    accept(input, ElementsOf::<C>(context, PhantomData))
}

struct ElementsOf<'a, C>(Context<'a>, PhantomData<C>);

impl<'de, C: Codec> Accept<'de> for ElementsOf<'_, C> {
    type Value = Vec<C::Value>;
    const EXPECTED: &'static str = "a list";

    fn list<A: SeqAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
        let Self(context, _) = self;
        let mut values = Vec::new();
        loop {
            let seed = Seed::<C>(context, PhantomData);
            let step = Step::Element(values.len());
            match context.at(step, || input.next_element_seed(seed))? {
                Some(value) => values.push(value.unwrap_or_default()),
                None => return Ok(values),
            }
        }
    }
}

struct Seed<'a, C>(Context<'a>, PhantomData<C>);

impl<'de, C: Codec> DeserializeSeed<'de> for Seed<'_, C> {
    type Value = Option<C::Value>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        C::read(input, self.0)
    }
}

/// Reads a key as its index in a table of names; `None` when it is not there.
struct NameIn(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for NameIn {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        let index = accept(
            input,
            Text(|name: &str| Ok(self.0.iter().position(|known| *known == name))),
        )?;
        Ok(index.flatten())
    }
}

/// Reads a string by a function, which says what is wrong with it.
pub(super) fn read_text<'de, T, D: Deserializer<'de>>(
    input: D,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    accept(input, Text(parse))
}

struct Text<F>(F);

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> Accept<'de> for Text<F> {
    type Value = T;
    const EXPECTED: &'static str = "a string";

    fn text<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// Reads true or false.
pub(super) fn read_bool<'de, D: Deserializer<'de>>(input: D) -> Result<Option<bool>, D::Error> {
    struct Boolean;

    impl Accept<'_> for Boolean {
        type Value = bool;
        const EXPECTED: &'static str = "true or false";

        fn boolean<E: Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
    }

    accept(input, Boolean)
}

/// What a value may be. Everything else is refused, in words that do not repeat it; null is always taken.
trait Accept<'de>: Sized {
    type Value;
    const EXPECTED: &'static str;

    fn boolean<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(unexpected(Self::EXPECTED, "a boolean"))
    }

    fn number<E: Error>(self) -> Result<Self::Value, E> {
        Err(unexpected(Self::EXPECTED, "a number"))
    }

    fn text<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(unexpected(Self::EXPECTED, "a string"))
    }

    fn list<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected(Self::EXPECTED, "a list"))
    }

    fn object<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected(Self::EXPECTED, "an object"))
    }
}

/// The error for a value that is of another kind.
pub(super) fn unexpected<E: Error>(expected: &str, found: &str) -> E {
    E::custom(format_args!("expected {expected}, found {found}"))
}

/// `None` for null.
fn accept<'de, D: Deserializer<'de>, A: Accept<'de>>(
    input: D,
    accept: A,
) -> Result<Option<A::Value>, D::Error> {
    input.deserialize_any(Accepting(accept))
}

struct Accepting<A>(A);

impl<'de, A: Accept<'de>> Visitor<'de> for Accepting<A> {
    type Value = Option<A::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A::EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        self.0.boolean(value).map(Some)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        self.0.number().map(Some)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.0.number().map(Some)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.0.number().map(Some)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.0.text(text).map(Some)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, input: S) -> Result<Self::Value, S::Error> {
        self.0.list(input).map(Some)
    }

    fn visit_map<M: MapAccess<'de>>(self, input: M) -> Result<Self::Value, M::Error> {
        self.0.object(input).map(Some)
    }
}
