//! Nouns and rules of the recording room. No files, no clock, no threads: everything here is a value or a decision.
