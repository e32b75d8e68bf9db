//! Services together, over real records and a capture that is made up.

pub mod takes;
