//! A room: one server, one feed, one appliance, wired. What nearly every scenario begins with.

use super::appliance::Appliance;
use super::checker::Report;
use super::clock::FakeClock;
use super::feed::Feed;
use super::ms;
use super::server::{JackServer, Options};
use super::take::Take;
use std::path::PathBuf;

/// How the room differs from the usual one.
#[derive(Default)]
pub struct Plan<'a> {
    /// 0 is two.
    pub channels: u32,
    /// More words for `rakkr capture`.
    pub capture: &'a [&'a str],
    /// Where takes go; `None` is a temp folder.
    pub data: Option<PathBuf>,
    pub clock: Option<&'a FakeClock>,
    pub server: Options,
}

/// Dropped from the top: the appliance first, its server last.
pub struct Room {
    pub appliance: Appliance,
    pub feed: Feed,
    pub server: JackServer,
}

impl Room {
    /// Two channels, everything as it comes.
    pub fn usual() -> Room {
        Room::new(Plan::default())
    }

    pub fn new(plan: Plan<'_>) -> Room {
        let channels = if plan.channels == 0 { 2 } else { plan.channels };
        let server = JackServer::start(plan.server);
        let feed = Feed::tags(&server, channels);
        let mut args = vec!["--channels".into(), channels.to_string(), "--connect".into(), feed.port_names()];
        args.extend(plan.capture.iter().map(ToString::to_string));
        let environment = plan.clock.map(FakeClock::environment).unwrap_or_default();
        let appliance = Appliance::start(&server, plan.data, args, environment);
        feed.wait_connected();
        appliance.wait_connected();
        // A connection takes effect within two periods; behind this, every frame is a tag.
        feed.play(ms(50));
        Room { appliance, feed, server }
    }

    /// Starts a take and lets it hear so many frames.
    pub fn record(&self, words: &[&str], frames: u64) -> String {
        let id = self.appliance.take_start(words);
        self.feed.play(frames);
        id
    }

    /// Exports as WAV and judges the file.
    pub fn exported(&self, take: &Take) -> Report {
        let file = self.appliance.export(&take.id, &["--format", "wav"], &format!("{}.wav", take.id));
        Report::of_file(&file, &take.numbers())
    }
}
