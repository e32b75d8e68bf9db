//! Orders: the one input of the tape machine.
//!
//! An order says which channels to record from when to when. Starting a recording is adding an order, stopping it is
//! giving it a stop, a schedule is many orders. Here is what makes an order and a set of them valid; what to do about
//! them is decided in `capture`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Channels, TakeId};

/// The most orders a set may hold: a week of quarter-hour bookings for six rooms, with room to spare.
pub const MAX_ORDERS: usize = 4096;
/// The longest title, in bytes: it travels in file headers of fixed room.
pub const MAX_TITLE_BYTES: usize = 1024;
/// The longest recording that can be ordered by length: a year.
pub const MAX_LENGTH_SECONDS: f64 = 366.0 * 86_400.0;
/// The longest pre-roll any order may ask for.
pub const MAX_PRE_ROLL_SECONDS: f64 = 120.0;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredAs {
    /// 24-bit integers: all that a converter delivers.
    #[default]
    Pcm24,
    /// 32-bit floats, for sources that are not converters.
    Float32,
}

/// One recording that shall be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Also the id of the recording.
    pub id: TakeId,
    /// For people; may be empty.
    #[serde(default)]
    pub title: String,
    /// What to record.
    #[serde(default)]
    pub channels: Channels,
    /// When it begins; an instant in the past means "as soon as possible, and say how late".
    pub start: Timestamp,
    /// When it ends; none is "until stopped".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Timestamp>,
    /// Length from `start` in seconds, counted in frames, for those who mean a length and not a time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_seconds: Option<f64>,
    /// Seconds before `start` to keep as well.
    #[serde(default)]
    pub pre_roll_seconds: f64,
    /// Sample format on disk.
    #[serde(default)]
    pub stored_as: StoredAs,
}

impl Order {
    /// Checks what can be checked without knowing the machine.
    ///
    /// # Errors
    /// A sentence naming the field.
    pub fn check(&self) -> Result<(), String> {
        let id = self.id;
        if self.title.len() > MAX_TITLE_BYTES {
            return Err(format!("order {id}: title is longer than {MAX_TITLE_BYTES} bytes"));
        }
        if self.channels == Channels::Numbers(Vec::new()) {
            return Err(format!("order {id}: channels is empty: name at least one, or all"));
        }
        if !(0.0..=MAX_PRE_ROLL_SECONDS).contains(&self.pre_roll_seconds) {
            return Err(format!("order {id}: pre_roll_seconds must lie between 0 and {MAX_PRE_ROLL_SECONDS}"));
        }
        if let Some(length) = self.length_seconds
            && !(length > 0.0 && length <= MAX_LENGTH_SECONDS)
        {
            return Err(format!("order {id}: length_seconds must be above 0 and at most {MAX_LENGTH_SECONDS}"));
        }
        if self.stop.is_some_and(|stop| stop < self.start) {
            return Err(format!("order {id}: stop lies before start"));
        }
        Ok(())
    }

    /// Whether the order asks for nothing any more at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let by_length =
            self.length_seconds.is_some_and(|length| now.duration_since(self.start).as_secs_f64() >= length);
        self.stop.is_some_and(|stop| stop <= now) || by_length
    }

    /// Moves the planned end away by so many seconds.
    ///
    /// # Errors
    /// A sentence: it has no planned end, it is over at `now`, or the new end cannot be. Then nothing changed.
    pub fn extend(&mut self, seconds: f64, now: Timestamp) -> Result<(), String> {
        let id = self.id;
        if !(seconds > 0.0 && seconds <= MAX_LENGTH_SECONDS) {
            return Err(format!("seconds must be above 0 and at most {MAX_LENGTH_SECONDS}"));
        }
        if self.stop.is_none() && self.length_seconds.is_none() {
            return Err(format!("recording {id} has no end: it goes on until it is stopped"));
        }
        if self.is_over(now) {
            return Err(format!("recording {id} has ended: start another one"));
        }
        let mut moved = self.clone();
        moved.length_seconds = self.length_seconds.map(|length| length + seconds);
        if let Some(stop) = self.stop {
            let later = jiff::SignedDuration::try_from_secs_f64(seconds).ok().and_then(|by| stop.checked_add(by).ok());
            moved.stop = Some(later.ok_or("seconds leads beyond the calendar")?);
        }
        moved.check()?;
        *self = moved;
        Ok(())
    }

    /// Length from `start` to the planned end in seconds; none is "until stopped".
    pub fn planned_seconds(&self) -> Option<f64> {
        let by_stop = self.stop.map(|stop| stop.duration_since(self.start).as_secs_f64().max(0.0));
        match (by_stop, self.length_seconds) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// The complete set of orders, as `orders.json` holds it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredSet", into = "StoredSet")]
pub struct OrderSet {
    orders: BTreeMap<TakeId, Order>,
}

/// The stored form: `{"version": 1, "orders": […]}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSet {
    version: u32,
    orders: Vec<Order>,
}

impl OrderSet {
    /// The stored form this program reads and writes.
    pub const VERSION: u32 = 1;

    /// Makes a set, checking every order.
    ///
    /// # Errors
    /// A sentence naming the first order that cannot be.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Result<Self, String> {
        let mut set = Self::default();
        for order in orders {
            if set.orders.contains_key(&order.id) {
                return Err(format!("order {} stands twice in the set", order.id));
            }
            set.insert(order)?;
        }
        Ok(set)
    }

    /// Adds an order, or puts it in the place of the one with its id.
    ///
    /// # Errors
    /// A sentence: the order cannot be, or the set is full.
    pub fn insert(&mut self, order: Order) -> Result<(), String> {
        order.check()?;
        if self.orders.len() >= MAX_ORDERS && !self.orders.contains_key(&order.id) {
            return Err(format!("there are already {MAX_ORDERS} orders: remove past or distant ones first"));
        }
        self.orders.insert(order.id, order);
        Ok(())
    }

    /// Takes an order out.
    pub fn remove(&mut self, id: TakeId) -> Option<Order> {
        self.orders.remove(&id)
    }

    /// The order with this id.
    pub fn get(&self, id: TakeId) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// The order with this id, to change; [`Order::check`] it afterwards.
    pub fn get_mut(&mut self, id: TakeId) -> Option<&mut Order> {
        self.orders.get_mut(&id)
    }

    /// All orders, oldest id first.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }
}

impl TryFrom<StoredSet> for OrderSet {
    type Error = String;

    fn try_from(stored: StoredSet) -> Result<Self, String> {
        if stored.version != Self::VERSION {
            return Err(format!("version {} is not the version {} this program reads", stored.version, Self::VERSION));
        }
        Self::new(stored.orders)
    }
}

impl From<OrderSet> for StoredSet {
    fn from(set: OrderSet) -> Self {
        Self { version: OrderSet::VERSION, orders: set.orders.into_values().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(second: i64) -> Order {
        let start = Timestamp::from_second(second).unwrap();
        Order {
            id: TakeId::new(start, [7; 10]),
            title: "Council".into(),
            channels: Channels::All,
            start,
            stop: None,
            length_seconds: None,
            pre_roll_seconds: 0.0,
            stored_as: StoredAs::Pcm24,
        }
    }

    #[test]
    fn the_stored_set_comes_back_as_it_was() {
        let set = OrderSet::new([order(1), order(2)]).unwrap();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<OrderSet>(&text).unwrap(), set);
    }

    #[test]
    fn an_order_that_cannot_be_is_refused_by_field() {
        let start = order(100).start;
        let cases: [(Order, &str); 4] = [
            (Order { stop: Some(start - jiff::SignedDuration::from_secs(1)), ..order(100) }, "stop"),
            (Order { length_seconds: Some(f64::NAN), ..order(100) }, "length_seconds"),
            (Order { pre_roll_seconds: -1.0, ..order(100) }, "pre_roll_seconds"),
            (Order { title: "x".repeat(MAX_TITLE_BYTES + 1), ..order(100) }, "title"),
        ];
        for (order, field) in cases {
            assert!(order.check().unwrap_err().contains(field), "{field}");
        }
    }

    #[test]
    fn the_shorter_of_stop_and_length_is_planned() {
        let start = order(100).start;
        let stop = Some(start + jiff::SignedDuration::from_secs(60));
        assert_eq!(Order { stop, length_seconds: Some(90.0), ..order(100) }.planned_seconds(), Some(60.0));
        assert_eq!(Order { length_seconds: Some(90.0), ..order(100) }.planned_seconds(), Some(90.0));
        assert_eq!(order(100).planned_seconds(), None);
    }

    #[test]
    fn an_extended_order_ends_later_by_both_ways_of_saying_it() {
        let start = order(100).start;
        let second = jiff::SignedDuration::from_secs;
        let mut extended = Order { stop: Some(start + second(60)), length_seconds: Some(90.0), ..order(100) };
        extended.extend(30.0, start).unwrap();
        assert_eq!((extended.stop, extended.length_seconds), (Some(start + second(90)), Some(120.0)));
    }

    #[test]
    fn what_has_no_end_or_has_ended_is_not_extended() {
        let start = order(100).start;
        let later = start + jiff::SignedDuration::from_secs(90);
        assert!(order(100).extend(30.0, start).unwrap_err().contains("has no end"));
        let mut past = Order { length_seconds: Some(90.0), ..order(100) };
        assert!(past.extend(30.0, later).unwrap_err().contains("has ended"));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, MAX_LENGTH_SECONDS] {
            assert!(past.extend(seconds, start).is_err(), "{seconds}");
        }
        assert_eq!(past.length_seconds, Some(90.0));
    }

    #[test]
    fn an_order_twice_in_a_set_is_refused() {
        assert!(OrderSet::new([order(1), order(1)]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_set_or_an_error(text in "\\PC{0,200}") {
            let _ = serde_json::from_str::<OrderSet>(&text);
        }

        #[test]
        fn a_mutated_set_is_a_valid_set_or_an_error(at in 0usize..400, byte in any::<u8>()) {
            let mut bytes = serde_json::to_vec(&OrderSet::new([order(1), order(2)]).unwrap()).unwrap();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(set) = serde_json::from_slice::<OrderSet>(&bytes) {
                for order in set.iter() {
                    prop_assert!(order.check().is_ok());
                }
            }
        }
    }
}
