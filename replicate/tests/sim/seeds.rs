//! Seeds that once found something, and what it was. They keep the laws now.
//!
//! A seed's day changes when the simulator draws otherwise; the story stays true, and where the bug was in the library
//! it has a test of its own beside the code.

/// The seed, whether it was on redb, and what it found.
pub const FOUND: [(u64, bool, &str); 11] = [
    (1058, false, "where two boxes used one name, an entry can name its own place: the model let it replace itself"),
    (1, true, "a store whose file failed opens it again only for a job: with links down and nobody writing, never"),
    (325, true, "the same, at the end of the day: the node counted as healed and could not be read"),
    (166, false, "candidates with only a node that is no candidate between them depose each other for ever"),
    (1150, false, "the same with a third candidate"),
    (1992, false, "the same"),
    (2879, false, "the same, beside a node that nobody reaches"),
    (3919, false, "the same, from the other side"),
    (5653, false, "along a chain that stays cut two reign: two followers of different reigns did not tell each other"),
    (
        729,
        false,
        "a coordinator that is below a floor of others said the next one below that: who had it was astray for good",
    ),
    (2017, false, "two coordinators, each with a majority but asking only who had not lapsed, said a floor each"),
];
