//! Slows guessing down: a delay that grows with each wrong answer, per account and per address.
//!
//! Nobody is locked out: when the delay is over the next try counts, and who is told to wait does not wait longer for
//! asking. An address from which an account was entered before is not slowed by wrong answers from elsewhere, so nobody
//! can keep a technician out. Times are microseconds since boot, given by the caller.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Wrong answers without a delay.
const FREE: u32 = 3;
/// The longest delay.
const DELAY_MAX_S: u64 = 60;
/// After this long without a wrong answer all is forgotten.
const FORGOTTEN_S: u64 = 15 * 60;
/// Accounts and addresses remembered; the one unused longest gives way.
pub const REMEMBERED_MAX: usize = 10_000;

const SECOND_US: u64 = 1_000_000;

/// What was tried lately.
#[derive(Debug, Default)]
pub struct Throttle {
    tries: BTreeMap<String, Tries>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tries {
    wrong: u32,
    free_at_us: u64,
    last_us: u64,
}

/// A try that counts as wrong until it is known better.
#[derive(Debug)]
pub struct Try {
    account: String,
    address: String,
    before: [Option<Tries>; 2],
}

impl Throttle {
    /// Begins a try at an account. It is counted as wrong at once, so that many at the same time are not all free.
    ///
    /// # Errors
    /// How many seconds to wait.
    pub fn begin(&mut self, account: &str, address: &str, now_us: u64) -> Result<Try, u64> {
        let account = match pair(account, address) {
            known if self.tries.contains_key(&known) => known,
            _ => format!("account {account}"),
        };
        let address = format!("address {}", network(address));
        let keys = [account.as_str(), address.as_str()];
        let wait_us = keys.iter().filter_map(|key| self.tries.get(*key)).map(|tries| tries.free_at_us).max();
        let wait_us = wait_us.unwrap_or(0).saturating_sub(now_us);
        if wait_us > 0 {
            return Err(wait_us.div_ceil(SECOND_US));
        }
        let before = keys.map(|key| self.tries.get(key).copied());
        for key in keys {
            self.count(key, now_us);
        }
        Ok(Try { account, address, before })
    }

    /// The answer was right. From this address the account is known.
    pub fn succeeded(&mut self, tried: Try, name: &str, address: &str, now_us: u64) {
        self.tries.remove(&tried.account);
        self.put_back(&tried.address, tried.before[1]);
        self.make_room();
        self.tries.insert(pair(name, address), Tries { last_us: now_us, ..Tries::default() });
    }

    /// The answer was not looked at.
    pub fn undone(&mut self, tried: &Try) {
        self.put_back(&tried.account, tried.before[0]);
        self.put_back(&tried.address, tried.before[1]);
    }

    fn put_back(&mut self, key: &str, before: Option<Tries>) {
        match before {
            Some(before) => self.tries.insert(key.to_owned(), before),
            None => self.tries.remove(key),
        };
    }

    fn count(&mut self, key: &str, now_us: u64) {
        if !self.tries.contains_key(key) {
            self.make_room();
        }
        let tries = self.tries.entry(key.to_owned()).or_default();
        if now_us.saturating_sub(tries.last_us) > FORGOTTEN_S * SECOND_US {
            tries.wrong = 0;
        }
        tries.wrong += 1;
        tries.last_us = now_us;
        tries.free_at_us = now_us + delay_s(tries.wrong) * SECOND_US;
    }

    fn make_room(&mut self) {
        if self.tries.len() < REMEMBERED_MAX {
            return;
        }
        let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.last_us).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.tries.remove(&oldest);
        }
    }
}

/// How long to wait after so many wrong answers in a row.
fn delay_s(wrong: u32) -> u64 {
    match wrong.checked_sub(FREE) {
        None => 0,
        Some(doublings) => 2_u64.saturating_pow(doublings).min(DELAY_MAX_S),
    }
}

fn pair(account: &str, address: &str) -> String {
    format!("known {account} {}", network(address))
}

/// An address as far as one person does not change it at will: of IPv6 the first 64 bits.
fn network(address: &str) -> String {
    let parsed = address.parse::<IpAddr>().or_else(|_| address.parse::<SocketAddr>().map(|address| address.ip()));
    match parsed.map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(v6)) => format!("{:x?}", &v6.segments()[..4]),
        Ok(IpAddr::V4(v4)) => v4.to_string(),
        Err(_) => address.chars().take(64).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = SECOND_US;

    #[test]
    fn the_delay_doubles_from_the_third_wrong_answer_to_a_minute() {
        let mut throttle = Throttle::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..12 {
            throttle.begin("anna", "10.0.0.1", now).unwrap();
            let wait = throttle.begin("anna", "10.0.0.1", now).err();
            if wait.is_none() {
                // The second of the two was a try as well.
                waits.push(0);
                continue;
            }
            waits.push(wait.unwrap());
            now += wait.unwrap() * S;
        }
        assert_eq!(waits[1..], [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
    }

    #[test]
    fn asking_while_waiting_does_not_prolong_the_wait() {
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            throttle.begin("anna", "10.0.0.1", 0).unwrap();
        }
        for _ in 0..50 {
            assert_eq!(throttle.begin("anna", "10.0.0.1", 1).unwrap_err(), 1);
        }
        assert!(throttle.begin("anna", "10.0.0.1", S).is_ok());
    }

    #[test]
    fn one_address_is_slowed_over_all_accounts_and_one_account_over_all_addresses() {
        let mut throttle = Throttle::default();
        for name in ["a", "b", "c"] {
            throttle.begin(name, "10.0.0.1", 0).unwrap();
        }
        assert!(throttle.begin("d", "10.0.0.1", 0).is_err());
        assert!(throttle.begin("d", "10.0.0.2", 0).is_ok());
        for last in 3..5 {
            throttle.begin("d", &format!("10.0.0.{last}"), 0).unwrap();
        }
        assert!(throttle.begin("d", "10.0.0.9", 0).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let mut throttle = Throttle::default();
        for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
            throttle.begin(name, &format!("2001:db8:1:2::{index}"), 0).unwrap();
        }
        assert!(throttle.begin("d", "2001:db8:1:2:ffff::1", 0).is_err());
        assert!(throttle.begin("d", "2001:db8:1:3::1", 0).is_ok());
    }

    #[test]
    fn wrong_answers_from_elsewhere_do_not_slow_an_address_that_was_right_before() {
        let mut throttle = Throttle::default();
        let tried = throttle.begin("anna", "10.0.0.1", 0).unwrap();
        throttle.succeeded(tried, "anna", "10.0.0.1", 0);
        for last in 2..5 {
            throttle.begin("anna", &format!("10.0.0.{last}"), 0).unwrap();
        }
        assert!(throttle.begin("anna", "10.0.0.9", 0).is_err());
        assert!(throttle.begin("anna", "10.0.0.1", 0).is_ok());
    }

    #[test]
    fn being_right_forgets_the_account_and_not_the_address() {
        let mut throttle = Throttle::default();
        for _ in 0..2 {
            throttle.begin("anna", "10.0.0.1", 0).unwrap();
        }
        let mine = throttle.begin("mallory", "10.0.0.1", 0).unwrap();
        throttle.succeeded(mine, "mallory", "10.0.0.1", 0);
        throttle.begin("anna", "10.0.0.1", 0).unwrap();
        assert!(throttle.begin("anna", "10.0.0.1", 0).is_err());
    }

    #[test]
    fn a_try_that_was_not_looked_at_does_not_count() {
        let mut throttle = Throttle::default();
        for _ in 0..20 {
            let tried = throttle.begin("anna", "10.0.0.1", 0).unwrap();
            throttle.undone(&tried);
        }
    }

    #[test]
    fn a_quarter_of_an_hour_forgets() {
        let mut throttle = Throttle::default();
        let mut now = 0;
        for _ in 0..12 {
            throttle.begin("anna", "10.0.0.1", now).unwrap();
            now += 60 * S;
        }
        throttle.begin("anna", "10.0.0.1", now + FORGOTTEN_S * S).unwrap();
        assert!(throttle.begin("anna", "10.0.0.1", now + FORGOTTEN_S * S).is_ok());
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_gives_way() {
        let mut throttle = Throttle::default();
        for index in 0..REMEMBERED_MAX as u64 {
            let _ = throttle.begin(&format!("a{index}"), &format!("10.{}.{}.1", index / 250, index % 250), index);
        }
        assert_eq!(throttle.tries.len(), REMEMBERED_MAX);
        assert!(!throttle.tries.contains_key("account a0"));
    }
}
