//! From an event in a room to the pixels of a wall: 500 rooms, one real node that coordinates them, a real browser that shows
//! its wall. What happens is written down by simulated nodes as real ones would, at random rooms and times; measured is from
//! handing it to the link until the frame behind the one that shows it. All rooms have voices, and their levels move meanwhile.
//!
//! Then three real nodes: what happens at one is seen on another's wall, and through a call. The browser's clock is this
//! machine's; how far it is off is asked in each part, and taken off.

use crate::crowd::{Ask, Newcomer, Said};
use crate::figure::{Figure, Sheet};
use crate::harness::{Member, Options, Plan, Room as RealRoom, wait, wait_settled};
use crate::many::{Crowd, unix_seconds};
use crate::pixels::{Note, Page, Pixels};
use crate::process::cpu_seconds_of_all;
use jiff::Timestamp;
use rakkr::domain::watch::{CloseReason, Closed, Incident, IncidentKind, Severity, Target};
use rakkr::domain::{ClockQuality, TakeId, TakeState};
use rakkr::store::fleet::Inventory;
use rakkr::store::recordings::Facts;
use rakkr::store::rooms::Room as RoomRecord;
use rakkr::store::{Edits, Id};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One in so many rooms records when it begins.
const RECORDING_ONE_IN: usize = 3;
/// A room in which something happened is left alone for so long: what is seen of it belongs to that.
const REST: Duration = Duration::from_secs(15);
/// The pause between two events, milliseconds: one to five a second.
const PAUSE_MS: std::ops::Range<u64> = 200..1_000;
/// How long the last events may take.
const LATE: Duration = Duration::from_secs(3);
/// The page's clock may be off by as much as reading it takes; an event is not seen before it happened.
const CLOCK_MS: f64 = 5.0;

/// How many, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub peers: usize,
    pub seconds: u64,
}

/// Something that happened, and how it is known again.
struct Event {
    kind: &'static str,
    /// The card, or the stream's event.
    card: String,
    /// What it must say, and must not.
    has: Vec<String>,
    lacks: Option<String>,
    /// Milliseconds since 1970.
    at: Option<f64>,
}

impl Event {
    fn is_seen_in(&self, note: &Note, at: f64, ahead: f64) -> bool {
        note.card == self.card
            && (at - CLOCK_MS..at + REST.as_secs_f64() * 1e3).contains(&(note.dom - ahead))
            && self.has.iter().all(|word| note.text.contains(word))
            && self.lacks.as_ref().is_none_or(|word| !note.text.contains(word))
    }
}

/// How long events took, by what they are, milliseconds: until the page heard of it, until its document said it, until the
/// frame behind the one that showed it.
#[derive(Default)]
struct Times {
    by_kind: BTreeMap<&'static str, Vec<[f64; 3]>>,
    missed: Vec<&'static str>,
}

impl Times {
    fn of(events: &[Event], seen: &[Note], ahead: f64) -> Times {
        let mut times = Times::default();
        for event in events {
            let found = event.at.and_then(|at| seen.iter().find(|note| event.is_seen_in(note, at, ahead)));
            match found.zip(event.at) {
                Some((note, at)) => {
                    let passed = [note.heard, note.dom, note.frame].map(|when| when - ahead - at);
                    times.by_kind.entry(event.kind).or_default().push(passed);
                }
                None => times.missed.push(event.kind),
            }
        }
        times
    }

    fn all(&self, step: usize) -> Vec<f64> {
        self.by_kind.values().flatten().map(|passed| passed[step]).collect()
    }

    /// Says it, for who reads along, by kind, and as figures.
    fn print(&self, sheet: &Sheet, name: &dyn Fn(&str) -> String, goal: f64) {
        for (kind, passed) in &self.by_kind {
            let p = |step: usize, at| percentile(&mut passed.iter().map(|all| all[step]).collect::<Vec<_>>(), at);
            eprintln!(
                "{kind}: {} events, ms to the script {:.0}/{:.0}, document {:.0}/{:.0}, frame {:.0}/{:.0} (p50/p95)",
                passed.len(),
                p(0, 50),
                p(0, 95),
                p(1, 50),
                p(1, 95),
                p(2, 50),
                p(2, 95),
            );
        }
        let mut frames = self.all(2);
        sheet.print(Figure::cost(name(&format!("{} events, p50", frames.len())), percentile(&mut frames, 50), "ms"));
        sheet.print(Figure::cost(name("p95"), percentile(&mut frames, 95), "ms").goal(goal));
        sheet.print(Figure::cost(name("worst"), percentile(&mut frames, 100), "ms"));
        sheet.print(Figure::cost(name("not seen"), self.missed.len() as f64, "events").goal(0.0));
        let parts = |one: usize, other: usize| {
            let all = self.by_kind.values().flatten();
            let mut passed: Vec<f64> = all.map(|passed| passed[other] - passed[one]).collect();
            (percentile(&mut passed, 50), percentile(&mut passed, 95))
        };
        let mut heard = self.all(0);
        let to_script = (percentile(&mut heard, 50), percentile(&mut heard, 95));
        let parts =
            [("to the script", to_script), ("script to document", parts(0, 1)), ("document to frame", parts(1, 2))];
        for (part, (half, most)) in parts {
            sheet.print(Figure::cost(name(&format!("of which {part}, p95")), most, "ms").peer("its p50", Some(half)));
        }
        if !self.missed.is_empty() {
            eprintln!("not seen: {:?}", self.missed);
        }
    }
}

/// Of nothing, nothing.
fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    if values.is_empty() { f64::NAN } else { crate::store::percentile(values, hundredths) }
}

/// A room of the crowd.
struct Room {
    id: Id,
    peer: usize,
    take: Option<(TakeId, Facts)>,
    incident: Option<(Id, Incident)>,
    is_offline: bool,
    rests_since: Option<Instant>,
}

/// From an event to the pixels of a wall of as many rooms.
pub fn many_rooms(sheet: &Sheet, effort: Effort) {
    let mut crowd = Crowd::start(effort.peers, true);
    let mut boss = Member::first();
    let came = crowd.follow(&mut boss, furnish);
    eprintln!("{} rooms are in step after {came:.1} s", effort.peers);
    let mut stage = Stage::new(&crowd.newcomers);
    crowd.ask(&Ask::Say(stage.begin()));
    let mut pixels = Pixels::open(&boss, &["wall"]);
    // What opening has cost settles first.
    std::thread::park_timeout(Duration::from_secs(5));
    let (ahead, error) = pixels.clock_ahead();
    pixels.seen();
    crowd.handed();
    let (began, cpu) = (Instant::now(), cpu_seconds_of_all(boss.pid()).unwrap_or(f64::NAN));
    let (mut early, mut seen) = (None, Vec::new());
    while began.elapsed() < Duration::from_secs(effort.seconds) {
        std::thread::park_timeout(Duration::from_millis(stage.chance.within(PAUSE_MS)));
        if let Some(ask) = stage.happen() {
            crowd.ask(&ask);
        }
        if early.is_none() && began.elapsed() >= Duration::from_secs(effort.seconds.min(60)) {
            seen.append(&mut pixels.seen());
            early = seen.last().map(|page: &Page| page.heap);
        }
    }
    let took = began.elapsed().as_secs_f64();
    let cpu = (cpu_seconds_of_all(boss.pid()).unwrap_or(f64::NAN) - cpu) / took * 100.0;
    std::thread::park_timeout(LATE);
    seen.append(&mut pixels.seen());
    let (ahead_after, _) = pixels.clock_ahead();
    eprintln!("the page's clock is ahead by {ahead:.2} ms at first, {ahead_after:.2} ms at last, to {error:.2} ms");
    for (number, at) in crowd.handed() {
        stage.events[number as usize - 1].at = Some(at * 1e3);
    }
    let notes: Vec<Note> = seen.iter().flat_map(|page| page.seen.clone()).collect();
    let name = |what: &str| format!("wall.event_to_pixel, {} rooms, {what}", effort.peers + 1);
    Times::of(&stage.events, &notes, ahead).print(sheet, &name, 100.0);
    let cost = |what: &str| format!("wall.{what}, {} rooms", effort.peers + 1);
    page_costs(sheet, &cost, &seen, took, early);
    sheet.print(Figure::cost(cost("cpu_of_the_node"), cpu, "% of a core"));
    sheet.print(Figure::cost(cost("memory_of_the_node"), boss.memory_kb() as f64 * 1.024e-3, "MB"));
}

/// What the page costs the line and the browser.
fn page_costs(sheet: &Sheet, name: &dyn Fn(&str) -> String, seen: &[Page], took: f64, early: Option<f64>) {
    let per_second = |bytes: fn(&Page) -> f64| seen.iter().map(bytes).sum::<f64>() / 1e3 / took;
    sheet.print(Figure::cost(name("events_to_the_browser"), per_second(|page| page.bytes.events), "kB/s"));
    sheet.print(Figure::cost(name("levels_to_the_browser"), per_second(|page| page.bytes.levels), "kB/s"));
    let tasks: Vec<f64> = seen.iter().flat_map(|page| page.tasks.clone()).collect();
    let worst = tasks.iter().copied().fold(0.0, f64::max);
    sheet.print(Figure::cost(name("tasks_over_50_ms"), tasks.len() as f64 * 60.0 / took, "a minute"));
    sheet.print(Figure::cost(name("longest_task_over_50_ms"), worst, "ms"));
    let Some(last) = seen.last() else { return };
    sheet.print(Figure::speed(name("rooms_with_levels"), last.levels as f64, "rooms"));
    let late = Figure::cost(name(&format!("script_heap after {took:.0} s")), last.heap / 1e6, "MB");
    sheet.print(late.peer("after the first minute", early.map(|early| early / 1e6)));
}

/// A room for each.
fn furnish(edits: &mut Edits, newcomer: &Newcomer) {
    let (id, node) = (Id::of_name(&newcomer.spki), Some(newcomer.id));
    let name = format!("Hall {}", &newcomer.spki[..6]);
    let (time_zone, notes, version) = ("Europe/Berlin".to_owned(), String::new(), String::new());
    edits.put_room(&RoomRecord { id, name, time_zone, notes, node, version });
}

/// All rooms, and what happened in them.
struct Stage {
    rooms: Vec<Room>,
    events: Vec<Event>,
    chance: Chance,
}

impl Stage {
    fn new(newcomers: &[Newcomer]) -> Stage {
        let room = |(peer, newcomer): (usize, &Newcomer)| Room {
            id: newcomer.id,
            peer,
            take: None,
            incident: None,
            is_offline: false,
            rests_since: None,
        };
        Stage {
            rooms: newcomers.iter().enumerate().map(room).collect(),
            events: Vec::new(),
            chance: Chance(88_172_645),
        }
    }

    /// Some record already.
    fn begin(&mut self) -> Vec<Said> {
        let chance = &mut self.chance;
        let recording = self.rooms.iter_mut().step_by(RECORDING_ONE_IN);
        recording.map(|room| room.starts("it runs already", chance).said(0, room.peer)).collect()
    }

    /// Something happens in some room that had its rest.
    fn happen(&mut self) -> Option<Ask> {
        let rested = |room: &Room| room.rests_since.is_none_or(|since| since.elapsed() > REST);
        let free: Vec<usize> = (0..self.rooms.len()).filter(|at| rested(&self.rooms[*at])).collect();
        let at = *free.get(self.chance.within(0..free.len() as u64) as usize)?;
        let (room, number) = (&mut self.rooms[at], self.events.len() as u64 + 1);
        room.rests_since = Some(Instant::now());
        let card = format!("card-{}", room.id);
        let event = |kind, has: &[&str]| Event {
            kind,
            card,
            has: has.iter().map(|word| (*word).to_owned()).collect(),
            lacks: None,
            at: None,
        };
        let roll = self.chance.within(0..10);
        let title = format!("take {number} of the bench");
        let (event, written) = match roll {
            0 if room.incident.is_none() && !room.is_offline => {
                self.events.push(event("link lost", &["card-lost "]));
                return Some(Ask::Drop { number, peer: room.peer });
            }
            _ if room.is_offline => (event("recorder answers", &["card-idle "]), room.answers(true)),
            _ if room.incident.is_some() => {
                let state = match &room.take {
                    Some((_, facts)) if facts.state == TakeState::Paused => "card-paused ",
                    Some(_) => "card-recording ",
                    None => "card-idle ",
                };
                (event("signal back", &[state]), room.recovers())
            }
            1..=3 => (event("signal lost", &["card-trouble ", "Channel 2"]), room.fails(&mut self.chance)),
            4 if room.take.is_none() => (event("recorder silent", &["card-offline "]), room.answers(false)),
            4 | 5 if room.is_recording() => (event("paused", &["card-paused "]), room.turns(TakeState::Paused)),
            _ if room.take.is_some() => (event("stopped", &["card-idle "]), room.turns(TakeState::Ready)),
            _ => (event("started", &["card-recording ", &title]), room.starts(&title, &mut self.chance)),
        };
        self.events.push(event);
        Some(Ask::Say(vec![written.said(number, room.peer)]))
    }
}

/// A group of a record.
struct Written {
    kind: &'static str,
    id: Id,
    group: &'static str,
    value: String,
}

impl Written {
    fn of(kind: &'static str, id: Id, group: &'static str, value: &impl Serialize) -> Written {
        Written { kind, id, group, value: json!(value).to_string() }
    }

    fn said(self, number: u64, peer: usize) -> Said {
        let (kind, group) = (self.kind.to_owned(), self.group.to_owned());
        Said { number, peer, kind, id: self.id, group, value: self.value }
    }
}

impl Room {
    fn is_recording(&self) -> bool {
        self.take.as_ref().is_some_and(|(_, facts)| facts.state == TakeState::Recording)
    }

    fn starts(&mut self, title: &str, chance: &mut Chance) -> Written {
        let (id, facts) = (TakeId::new(Timestamp::now(), chance.bytes()), facts(title));
        let written = Written::of("recording", id.into(), "facts", &facts);
        self.take = Some((id, facts));
        written
    }

    /// What is recorded pauses or goes on, or is over. A room that pauses is stopped next.
    fn turns(&mut self, state: TakeState) -> Written {
        let (id, mut facts) = self.take.take().expect("something is recorded");
        facts.state = state;
        let written = Written::of("recording", id.into(), "facts", &facts);
        self.take = (state == TakeState::Paused).then_some((id, facts));
        written
    }

    fn fails(&mut self, chance: &mut Chance) -> Written {
        let (id, now) = (Id::new(Timestamp::now(), chance.bytes()), Timestamp::now());
        let incident = Incident {
            kind: IncidentKind::PortGone,
            target: Target::Channel(2),
            severity: Severity::Critical,
            began_at: now,
            opened_at: now,
            clock_quality: ClockQuality::Ntp,
            times: 1,
            measure: None,
            is_acknowledged: false,
            suppressed_until: None,
            closed: None,
        };
        let written = Written::of("incident", id, "facts", &incident);
        self.incident = Some((id, incident));
        written
    }

    fn recovers(&mut self) -> Written {
        let (id, incident) = self.incident.take().expect("something is amiss");
        let closed = Some(Closed { at: Timestamp::now(), reason: CloseReason::Recovered });
        Written::of("incident", id, "facts", &Incident { closed, ..incident })
    }

    /// The node says whether its recorder answers.
    fn answers(&mut self, does: bool) -> Written {
        self.is_offline = !does;
        let inventory = Inventory {
            version: "0.1.0".into(),
            build: String::new(),
            started: Timestamp::UNIX_EPOCH,
            disk: (64 << 30, 128 << 30),
            jack: Some((48_000, 8)),
            room: None,
            state: if does { "idle" } else { "offline" }.into(),
        };
        Written::of("node", self.id, "inventory", &inventory)
    }
}

fn facts(title: &str) -> Facts {
    Facts {
        state: TakeState::Recording,
        title: title.to_owned(),
        started_at: Timestamp::now(),
        clock_quality: ClockQuality::Ntp,
        sample_rate: 48_000,
        duration_seconds: 1.0,
        channels: (1..=8).map(|number| (number, format!("Voice {number}"))).collect(),
        ports: (1..=8).map(|number| format!("system:capture_{number}")).collect(),
        gaps: (0, 0.0),
        marks: Vec::new(),
        peak_dbfs: Some(-12.0),
        bytes: 1 << 20,
        is_gone: false,
        was_replaced: false,
    }
}

/// The same in every run (xorshift64, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start).max(1)
    }

    fn bytes(&mut self) -> [u8; 10] {
        let (one, other) = (self.next().to_le_bytes(), self.next().to_le_bytes());
        std::array::from_fn(|at| if at < 8 { one[at] } else { other[at - 8] })
    }
}

/// Three nodes. What happens at one is seen on the wall of the one that coordinates, and in its stream through a call.
pub fn called(sheet: &Sheet, count: usize) {
    let mut room = RealRoom::new(Plan { channels: 2, server: Options::unwaiting(), ..Plan::default() });
    let boss = Member::first();
    let court = boss.lets_in(Member::beside(&room.server.name, &room.appliance.data, None));
    let third = boss.another();
    wait_settled(&[&boss, &court, &third]);
    let id = court.id();
    let stream = format!("/api/v1/nodes/{id}/calls/live");
    let mut pixels = Pixels::open(&boss, &["wall", &stream]);
    std::thread::park_timeout(Duration::from_secs(2));
    let (ahead, error) = pixels.clock_ahead();
    eprintln!("the page's clock is ahead by {ahead:.2} ms, to {error:.2} ms");
    let mut chance = Chance(362_436_069);
    let (mut on_wall, mut through_call) = (Vec::new(), Vec::new());
    for number in 0..count.div_ceil(EVENTS_A_ROUND) {
        round(&court, &mut room, &id, number, &mut chance, &mut on_wall, &mut through_call);
    }
    std::thread::park_timeout(LATE);
    let seen = pixels.seen();
    // A room in which something else is amiss does not look recording or idle: then it is not the way that was measured.
    let is_other =
        |incident: &&serde_json::Value| incident["node_id"] == id.as_str() && incident["kind"] != "port_gone";
    for other in incidents(&court, "").iter().filter(is_other) {
        eprintln!("amiss beside: {}, {} to {}", other["kind"], other["opened_at"], other["closed_at"]);
    }
    let name = |what: &str| format!("wall.event_at_a_node_to_pixel_of_another, {what}");
    Times::of(&on_wall, &seen[0].seen, ahead).print(sheet, &name, 250.0);
    let name = |what: &str| format!("wall.event_to_pixel_through_a_call, {what}");
    Times::of(&through_call, &seen[1].seen, ahead).print(sheet, &name, 250.0);
}

fn incidents(court: &Member, which: &str) -> Vec<serde_json::Value> {
    court.get(&format!("/api/v1/incidents{which}")).is(200)["items"].as_array().cloned().unwrap_or_default()
}

/// Of those that are seen through the call.
const EVENTS_A_ROUND: usize = 4;

/// A take is started, marked, loses a signal, and is stopped.
fn round(
    court: &Member,
    room: &mut RealRoom,
    node: &str,
    number: usize,
    chance: &mut Chance,
    on_wall: &mut Vec<Event>,
    through_call: &mut Vec<Event>,
) {
    let mut rest = |least: u64| std::thread::park_timeout(Duration::from_millis(least + chance.within(0..500)));
    let card = format!("card-{node}");
    let event = |kind, card: &str, has: &[&str], at: f64| Event {
        kind,
        card: card.to_owned(),
        has: has.iter().map(|word| (*word).to_owned()).collect(),
        lacks: None,
        at: Some(at),
    };
    let title = format!("take {number} of the court");
    let at = unix_seconds() * 1e3;
    let started = court.post("/api/v1/recordings", &json!({ "title": title })).is(201);
    let take = started["id"].as_str().unwrap_or_default().to_owned();
    on_wall.push(event("started", &card, &["card-recording ", &title], at));
    through_call.push(event("started", "recordings", &[&title], at));
    rest(1_000);

    let mark = format!("mark {number} of the court");
    let at = unix_seconds() * 1e3;
    court.post(&format!("/api/v1/recordings/{take}/marks"), &json!({ "label": mark })).is(201);
    through_call.push(event("marked", "recordings", &[&mark], at));
    rest(1_200);

    room.feed.remove_port(2);
    let opened = wait("the lost signal to be told of", || {
        incidents(court, "?open=true").into_iter().find(|item| item["kind"] == "port_gone")
    });
    let at: Timestamp = opened["opened_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
    let at = at.as_microsecond() as f64 / 1e3;
    on_wall.push(event("signal lost", &card, &["card-trouble ", "Channel 2"], at));
    through_call.push(event("signal lost", "incidents", &[opened["id"].as_str().unwrap_or_default()], at));
    rest(500);
    room.feed.restore_port(2);
    // What keeps coming back is given longer each time to be over: a person says so.
    wait("the signal to be back", || {
        let mut gone = incidents(court, "?open=true");
        gone.retain(|item| item["kind"] == "port_gone");
        for item in &gone {
            let id = item["id"].as_str()?;
            court.post(&format!("/api/v1/incidents/{id}/resolve"), &json!({}));
        }
        gone.is_empty().then_some(())
    });
    rest(1_000);

    let at = unix_seconds() * 1e3;
    court.post(&format!("/api/v1/recordings/{take}/stop"), &json!({})).is(200);
    on_wall.push(event("stopped", &card, &["card-idle "], at));
    let mut stopped = event("stopped", "recordings", &[&take], at);
    stopped.lacks = Some("\"state\":\"recording\"".into());
    through_call.push(stopped);
    rest(1_000);
}
