//! Times, lengths, sizes and levels as pages say them. Pure: the present and the room's time zone are arguments.
//!
//! Wall times are shown in the room's zone (`Today, 09:02`); what programs read beside them is RFC 3339 with its offset.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::access::Permission;

/// What a level below anything reads; see `capture::engine::meters`.
const SILENCE_DBFS: f32 = -190.0;

/// What day and time it is in the room, for whoever words times.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The present.
    pub now: Timestamp,
    /// The room's zone.
    pub zone: TimeZone,
}

impl Clock {
    /// `Today, 09:02`, `Yesterday, 14:00`, `Thu 19 Nov, 08:31`, and with the year when it is another one.
    pub fn day_and_time(&self, at: Timestamp) -> String {
        format!("{}, {}", self.day(at), self.time(at))
    }

    /// The same with seconds.
    pub fn day_and_second(&self, at: Timestamp) -> String {
        format!("{}, {}", self.day(at), self.second(at))
    }

    fn day(&self, at: Timestamp) -> String {
        let (then, now) = (at.to_zoned(self.zone.clone()), self.now.to_zoned(self.zone.clone()));
        let yesterday = now.date().yesterday().ok();
        match then.date() {
            date if date == now.date() => "Today".to_owned(),
            date if Some(date) == yesterday => "Yesterday".to_owned(),
            date if date.year() == now.date().year() => then.strftime("%a %-d %b").to_string(),
            _ => then.strftime("%-d %b %Y").to_string(),
        }
    }

    /// `09:02`.
    pub fn time(&self, at: Timestamp) -> String {
        self.form(at, "%H:%M")
    }

    /// `09:02:07`.
    pub fn second(&self, at: Timestamp) -> String {
        self.form(at, "%H:%M:%S")
    }

    /// `21 Nov 10:34:00`, for journals.
    pub fn journal(&self, at: Timestamp) -> String {
        self.form(at, "%-d %b %H:%M:%S")
    }

    /// `21 November 2026`.
    pub fn date(&self, at: Timestamp) -> String {
        self.form(at, "%-d %B %Y")
    }

    /// `9 November`, or with the year when it is another one.
    pub fn short_date(&self, at: Timestamp) -> String {
        let is_this_year = self.form(at, "%Y") == self.form(self.now, "%Y");
        self.form(at, if is_this_year { "%-d %b" } else { "%-d %b %Y" })
    }

    /// For programs: `2026-11-21T09:02:00+01:00`.
    pub fn iso(&self, at: Timestamp) -> String {
        self.form(at, "%Y-%m-%dT%H:%M:%S%:z")
    }

    /// `%Y-%m-%d`, as a date field of a form wants it.
    pub fn day_of(&self, at: Timestamp) -> String {
        self.form(at, "%Y-%m-%d")
    }

    /// A wall time by a pattern of `strftime`.
    pub fn form(&self, at: Timestamp, pattern: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(pattern).to_string()
    }

    /// The instant at which a day of the room begins; `day` as a form sends it. A day of the next one for its end.
    pub fn beginning_of(&self, day: &str, days_later: i8) -> Option<Timestamp> {
        let date: jiff::civil::Date = day.trim().parse().ok()?;
        let date = date.checked_add(jiff::Span::new().days(days_later)).ok()?;
        Some(date.to_zoned(self.zone.clone()).ok()?.timestamp())
    }

    /// `just now`, `2 min ago`, `3 h ago`, `5 days ago`: minutes at the finest, so that text seldom changes by itself.
    pub fn ago(&self, at: Timestamp) -> String {
        let seconds = self.now.duration_since(at).as_secs();
        match seconds {
            ..60 => "just now".to_owned(),
            60..3_600 => format!("{} min ago", seconds / 60),
            3_600..172_800 => format!("{} h ago", seconds / 3_600),
            _ => format!("{} days ago", seconds / 86_400),
        }
    }

    /// The seconds since an instant, 0 if it lies ahead.
    pub fn seconds_since(&self, at: Timestamp) -> f64 {
        self.now.duration_since(at).max(SignedDuration::ZERO).as_secs_f64()
    }
}

/// A place or a length on a time line: `1:32:10`.
pub fn clock(seconds: f64) -> String {
    let whole = if seconds.is_finite() { seconds.max(0.0) as u64 } else { 0 };
    format!("{}:{:02}:{:02}", whole / 3_600, whole / 60 % 60, whole % 60)
}

/// A length in words: `20 ms`, `3.4 s`, `42 s`, `2 min 10 s`, `15 min`, `1 h 10 min`, `3 days`.
pub fn length(seconds: f64) -> String {
    let whole = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    match whole {
        _ if seconds > 0.0 && seconds < 0.001 => "less than 1 ms".to_owned(),
        _ if seconds > 0.0 && seconds < 0.1 => format!("{:.0} ms", seconds * 1_000.0),
        ..10 => {
            let tenths = format!("{:.1}", seconds.max(0.0));
            format!("{} s", tenths.strip_suffix(".0").unwrap_or(&tenths))
        }
        10..60 => format!("{whole} s"),
        60..600 if whole % 60 != 0 => format!("{} min {} s", whole / 60, whole % 60),
        60..3_600 => format!("{} min", whole / 60),
        3_600..172_800 => minutes(whole / 60),
        _ => format!("{} days", whole / 86_400),
    }
}

/// `1 h 10 min`, `58 min`: for what grows while it is looked at.
pub fn minutes(minutes: u64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, m) => format!("{m} min"),
        (h, 0) => format!("{h} h"),
        (h, m) => format!("{h} h {m} min"),
    }
}

/// How long the disk lasts: `41 hours left`, `1 h 10 min left`.
pub fn hours_left(hours: f64) -> String {
    match hours {
        hours if hours >= 48.0 => format!("{} days left", (hours / 24.0) as u64),
        hours if hours >= 3.0 => format!("{} hours left", hours as u64),
        hours => format!("{} left", minutes((hours.max(0.0) * 60.0) as u64)),
    }
}

/// Bytes in decimal units, as disks are sold: `691 MB`, `11.6 GB`, `1.0 TB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = larger;
    }
    if unit == "B" || value >= 99.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A number with spaces between thousands: `1 284`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 mark`, `12 marks`.
pub fn count(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// A level: `-14.2`; none is `no data`, and nothing at all is `silence`.
pub fn level(dbfs: Option<f32>) -> String {
    match dbfs {
        None => "no data".to_owned(),
        Some(level) if level <= SILENCE_DBFS => "silence".to_owned(),
        Some(level) => format!("{level:.1}"),
    }
}

/// `8 channels`, `Channel 3`, `Channels 1 to 4`, `Channels 1, 3, 7`; `all` is how many the recorder has.
pub fn channels(numbers: &[u16], all: usize) -> String {
    let is_run = numbers.windows(2).all(|pair| pair[1] == pair[0].saturating_add(1));
    match numbers {
        [] => "No channels".to_owned(),
        [one] if all != 1 => format!("Channel {one}"),
        [1] => "1 channel".to_owned(),
        [first, .., last] if is_run && (*first != 1 || numbers.len() < all) => format!("Channels {first} to {last}"),
        numbers if is_run => format!("{} channels", numbers.len()),
        numbers if numbers.len() <= 6 => {
            format!("Channels {}", numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", "))
        }
        numbers => format!("{} channels", numbers.len()),
    }
}

/// Why a control cannot be used.
pub fn denied(permission: Permission) -> String {
    format!("Needs the right {}: ask whoever runs this recorder.", permission.name())
}

/// The first letter large.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A browser and a system, as far as a `User-Agent` tells: `Firefox on Linux`.
pub fn device(agent: &str) -> String {
    let first = |pairs: &[(&str, &'static str)]| pairs.iter().find(|(mark, _)| agent.contains(mark)).map(|pair| pair.1);
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "A program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ljubljana() -> Clock {
        let now = "2026-11-21T09:34:12Z".parse().unwrap();
        Clock { now, zone: TimeZone::get("Europe/Ljubljana").unwrap() }
    }

    #[test]
    fn a_time_is_told_by_the_rooms_day() {
        let clock = ljubljana();
        let told = |text: &str| clock.day_and_time(text.parse().unwrap());
        assert_eq!(told("2026-11-21T08:02:00Z"), "Today, 09:02");
        assert_eq!(told("2026-11-20T23:30:00Z"), "Today, 00:30");
        assert_eq!(told("2026-11-20T13:00:04Z"), "Yesterday, 14:00");
        assert_eq!(told("2026-11-19T07:31:00Z"), "Thu 19 Nov, 08:31");
        assert_eq!(told("2025-06-19T07:31:00Z"), "19 Jun 2025, 09:31");
        assert_eq!(clock.iso("2026-11-21T08:02:00Z".parse().unwrap()), "2026-11-21T09:02:00+01:00");
    }

    #[test]
    fn a_day_begins_where_the_room_is() {
        let begins = ljubljana().beginning_of("2026-11-21", 0).unwrap();
        assert_eq!(begins.to_string(), "2026-11-20T23:00:00Z");
        assert_eq!(ljubljana().beginning_of("tomorrow", 0), None);
    }

    #[test]
    fn lengths_and_sizes_are_as_people_say_them() {
        assert_eq!(clock(5530.9), "1:32:10");
        assert_eq!(
            [0.0, 0.000_02, 0.0213, 0.1, 3.4, 3.0, 42.0, 130.0, 900.0, 4_200.0].map(length),
            ["0 s", "less than 1 ms", "21 ms", "0.1 s", "3.4 s", "3 s", "42 s", "2 min 10 s", "15 min", "1 h 10 min"]
        );
        assert_eq!(
            [999, 691_200_000, 11_600_000_000, 999_960_000_000].map(bytes),
            ["999 B", "691 MB", "11.6 GB", "1.0 TB"]
        );
        assert_eq!([41.2, 1.17, 0.4].map(hours_left), ["41 hours left", "1 h 10 min left", "24 min left"]);
        assert_eq!([7, 1_284, 1_000_000].map(number), ["7", "1 284", "1 000 000"]);
    }

    #[test]
    fn what_is_not_a_number_is_not_shown_as_one() {
        assert_eq!(clock(f64::NAN), "0:00:00");
        assert_eq!(level(None), "no data");
        assert_eq!(level(Some(-200.0)), "silence");
    }

    #[test]
    fn channels_are_named_as_briefly_as_can_be() {
        assert_eq!(channels(&[1, 2, 3, 4], 4), "4 channels");
        assert_eq!(channels(&[1, 2, 3, 4], 8), "Channels 1 to 4");
        assert_eq!(channels(&[3], 8), "Channel 3");
        assert_eq!(channels(&[1, 3, 7], 8), "Channels 1, 3, 7");
    }
}
