//! Work on files: export in each format, proof, recovery. No server, so CPU time is all there is to them.

use crate::figure::{Figure, Sheet, median};
use crate::process::{Cost, bytes_below, cost_of, length};
use crate::takes;
use rakkr::capture::take::DataDir;
use rakkr::domain::TakeId;
use std::path::{Path, PathBuf};
use std::process::Command;

const OPEN_TAKES: u8 = 100;

/// An hour of stereo (five minutes when quick), and where exports of it go.
struct Hour {
    folder: tempfile::TempDir,
    data: DataDir,
    id: TakeId,
    seconds: f64,
}

impl Hour {
    fn make(seconds: u32) -> Option<Hour> {
        let folder = tempfile::tempdir().ok()?;
        let data = DataDir::new(folder.path().join("data"));
        let id = takes::left_open(&data, 0, seconds);
        // Recovery closes and hashes it.
        cost_of(rakkr(&["recover", "--data-dir"]).arg(data.path()))?;
        Some(Hour { folder, data, id, seconds: f64::from(seconds) })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(&self, format: &str, file: &Path) -> Option<Cost> {
        let id = self.id.to_string();
        let mut command = rakkr(&["export", &id, "--format", format, "--data-dir"]);
        cost_of(command.arg(self.data.path()).arg("-o").arg(file))
    }
}

fn rakkr(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rakkr"));
    command.args(words);
    command
}

/// Real-time factors of the encoders and the speed of proof, against the format's own tools.
pub fn measure(sheet: &Sheet, is_quick: bool) {
    let (seconds, rounds) = if is_quick { (300, 2) } else { (3600, 1) };
    let Some(hour) = Hour::make(seconds) else { return };
    let wav = hour.file("peer-in.wav");
    if hour.export("wav", &wav).is_none() {
        return;
    }
    let opus = hour.file("ours.opus");
    hour.export("opus", &opus);
    // The same bitrate for both: what ours came out at.
    let kbps = (length(&opus) as f64 * 8.0 / 1000.0 / hour.seconds).round();
    let peers: [(&str, &str, Vec<String>); 3] = [
        ("wav", "sox", vec![]),
        ("flac", "flac", vec!["-5".into(), "-s".into(), "-f".into()]),
        ("opus", "opusenc", vec!["--quiet".into(), "--bitrate".into(), kbps.to_string()]),
    ];
    for (format, program, options) in peers {
        let (ours_to, theirs_to) = (hour.file(&format!("ours.{format}")), hour.file(&format!("theirs.{format}")));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.extend(hour.export(format, &ours_to).map(|cost| hour.seconds / cost.cpu));
            let mut peer = Command::new(program);
            peer.args(&options);
            match program {
                "flac" => peer.arg("-o").arg(&theirs_to).arg(&wav),
                _ => peer.arg(&wav).arg(&theirs_to),
            };
            theirs.extend(cost_of(&mut peer).map(|cost| hour.seconds / cost.cpu));
        }
        eprintln!("{format}: {} bytes, {program} {} bytes", length(&ours_to), length(&theirs_to));
        let name = format!("export_{format}, {:.0} min stereo", hour.seconds / 60.0);
        let figure = Figure::speed(name, median(&ours).unwrap_or(f64::NAN), "x real time per core");
        sheet
            .print(figure.peer(&[program, &options.join(" ")].join(" ").trim().replace(" -s -f", ""), median(&theirs)));
    }
    verify(sheet, &hour, rounds.max(3));
}

fn verify(sheet: &Sheet, hour: &Hour, rounds: usize) {
    let take = hour.data.take(hour.id);
    let mb = bytes_below(take.path()) as f64 / 1e6;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.extend(cost_of(rakkr(&["verify"]).arg(take.path())).map(|cost| mb / cost.cpu));
        let files = std::fs::read_dir(take.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        theirs.extend(cost_of(Command::new("sha256sum").args(files)).map(|cost| mb / cost.cpu));
    }
    let figure = Figure::speed(format!("verify, {mb:.0} MB"), median(&ours).unwrap_or(f64::NAN), "MB per CPU s");
    sheet.print(figure.peer("sha256sum", median(&theirs)));
}

/// A hundred takes that a crash left open, made whole; their files are in the page cache.
pub fn recover(sheet: &Sheet, is_quick: bool) {
    let seconds = if is_quick { 10 } else { 60 };
    let Ok(folder) = tempfile::tempdir() else { return };
    let data = DataDir::new(folder.path());
    for nth in 0..OPEN_TAKES {
        takes::left_open(&data, nth, seconds);
    }
    let cost = cost_of(rakkr(&["recover", "--data-dir"]).arg(data.path()));
    // Whole means proven.
    let is_whole = cost_of(rakkr(&["verify"]).arg(data.path())).is_some();
    let [wall, cpu] = [cost.map(|c| c.wall), cost.map(|c| c.cpu)].map(|v| v.filter(|_| is_whole).unwrap_or(f64::NAN));
    let name = format!("recover, {OPEN_TAKES} open takes of {seconds} s stereo");
    sheet.print(Figure::cost(name.clone(), wall, "s").goal(5.0));
    sheet.print(Figure::cost(format!("{name}, CPU"), cpu, "CPU s"));
}
