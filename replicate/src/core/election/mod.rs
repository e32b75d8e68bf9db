//! Who coordinates: only the words, until the election itself lands here.

mod message;

pub use message::{EPOCH_MAX, Held, Message, Token};
