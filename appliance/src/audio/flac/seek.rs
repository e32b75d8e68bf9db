//! The seek table of a FLAC file that is still growing.
//!
//! Lives here: which frames become seek points, and the table's bytes (RFC 9639 section 8.5). Does not live here: where
//! the block stands. The number of points is fixed when the file is opened; a recording that outgrows it keeps every
//! second point, so the table covers the whole file however long it gets.

/// Bytes of one point.
const POINT_BYTES: usize = 18;
/// Seconds between two points at first.
const INTERVAL_S: u64 = 10;
/// Length assumed when nobody knows it: 4 h.
const DEFAULT_S: u64 = 4 * 3600;
/// Most points reserved: 24 h, 155 kB.
const POINTS_MAX: u64 = 24 * 3600 / INTERVAL_S + 1;

/// Points gathered while the file grows.
pub(super) struct SeekTable {
    points: Vec<Point>,
    capacity: usize,
    /// Samples between two points.
    interval: u64,
    /// The sample whose frame becomes the next point.
    next: u64,
}

/// The frame that contains a multiple of the interval.
#[derive(Debug, Clone, Copy)]
struct Point {
    first_sample: u64,
    /// Bytes from the first byte of the first frame.
    offset: u64,
    samples: u16,
}

impl SeekTable {
    /// Reserves points for `expected` samples per channel (`None`: 4 h), at least two and at most 24 h of them.
    pub(super) fn new(rate: u32, expected: Option<u64>) -> Self {
        let interval = INTERVAL_S * u64::from(rate).max(1);
        let expected = expected.unwrap_or(DEFAULT_S * u64::from(rate));
        let capacity = (expected / interval + 1).clamp(2, POINTS_MAX) as usize;
        Self { points: Vec::with_capacity(capacity), capacity, interval, next: 0 }
    }

    /// Notes a frame that was written: its first sample, its place in bytes after the metadata, its samples.
    pub(super) fn note(&mut self, first_sample: u64, offset: u64, samples: u16) {
        let end = first_sample + u64::from(samples);
        if self.next >= end {
            return;
        }
        if self.points.len() == self.capacity {
            self.thin(first_sample);
            if self.next >= end {
                return;
            }
        }
        self.points.push(Point { first_sample, offset, samples });
        self.next = end.div_ceil(self.interval) * self.interval;
    }

    /// Doubles the distance of points.
    fn thin(&mut self, now: u64) {
        let mut index = 0;
        self.points.retain(|_| {
            index += 1;
            index % 2 == 1
        });
        self.interval *= 2;
        self.next = now.div_ceil(self.interval) * self.interval;
    }

    /// Returns the block's content: all reserved points, unused ones as placeholders at the end.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.capacity * POINT_BYTES);
        for point in &self.points {
            bytes.extend_from_slice(&point.first_sample.to_be_bytes());
            bytes.extend_from_slice(&point.offset.to_be_bytes());
            bytes.extend_from_slice(&point.samples.to_be_bytes());
        }
        for _ in self.points.len()..self.capacity {
            bytes.extend_from_slice(&u64::MAX.to_be_bytes());
            bytes.extend_from_slice(&[0; POINT_BYTES - 8]);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds frames of 4096 samples and 100 bytes for `seconds` at 8 kHz.
    fn table(seconds: u64, expected: Option<u64>) -> SeekTable {
        let mut table = SeekTable::new(8000, expected);
        for frame in 0..seconds * 8000 / 4096 {
            table.note(frame * 4096, frame * 100, 4096);
        }
        table
    }

    #[test]
    fn every_ten_seconds_have_a_point() {
        let table = table(65, None);

        assert_eq!(table.points.len(), 7);
        for (index, point) in table.points.iter().enumerate() {
            let wanted = index as u64 * 80_000;
            assert!((point.first_sample..point.first_sample + 4096).contains(&wanted), "{point:?}");
            assert_eq!(point.offset, point.first_sample / 4096 * 100);
        }
    }

    #[test]
    fn a_recording_that_outgrows_the_table_is_still_covered() {
        let table = table(1000, Some(30 * 8000));

        assert_eq!(table.capacity, 4);
        assert_eq!(table.to_bytes().len(), 4 * POINT_BYTES);
        let last = table.points.last().map_or(0, |point| point.first_sample);
        assert!(last > 1000 * 8000 / 2, "the last point is {last}");
        for (index, point) in table.points.iter().enumerate() {
            let wanted = index as u64 * table.interval;
            assert!((point.first_sample..point.first_sample + 4096).contains(&wanted), "{index}: {point:?}");
        }
    }

    #[test]
    fn unused_points_are_placeholders() {
        let bytes = table(1, Some(25 * 8000)).to_bytes();

        assert_eq!(bytes.len(), 3 * POINT_BYTES);
        assert_eq!(&bytes[..8], &[0; 8]);
        assert_eq!(&bytes[18..26], &[0xFF; 8]);
        assert_eq!(&bytes[26..36], &[0; 10]);
    }
}
