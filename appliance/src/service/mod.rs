//! What a node does by itself, a worker or a service to a file or folder. Neighbours do not know each other: they meet in
//! the store's change feed.

pub mod listen;
pub mod render;
#[cfg(test)]
mod tests;
