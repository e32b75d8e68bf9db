//! Two nodes of this layer, without pages.
