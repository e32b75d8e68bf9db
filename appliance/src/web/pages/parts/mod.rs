//! What pages share: the frame around each, words for numbers, forms, and the pieces that stand on more than one page.
//!
//! Nothing here answers a request by itself; a page's own file does. Views are plain data of exactly the shape that the
//! template's fixtures have.

pub mod acts;
pub mod banner;
pub mod channels;
pub mod chrome;
pub mod disk;
pub mod field;
pub mod flash;
pub mod honesty;
pub mod incident;
pub mod meters;
pub mod row;
pub mod visit;
pub mod words;
