//! The tape machine: JACK in, takes on disk out.
