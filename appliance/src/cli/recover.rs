//! `rakkr recover`: makes whole what a crash left open, without a recorder.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;

use super::{LookArguments, note, print, print_json};
use crate::capture::orders;
use crate::capture::take::recover;
use crate::sys::clock;
use crate::sys::files::Lock;

pub(super) fn run(arguments: &LookArguments) -> anyhow::Result<ExitCode> {
    let data = arguments.data.open();
    if !data.path().is_dir() {
        bail!("{}: there is no such folder", data.path().display());
    }
    let Some(_lock) = Lock::try_take(&data.lock())? else {
        bail!("capture is running on {}: it has made everything whole when it started", data.path().display());
    };
    let set = orders::load(&data.orders())?;
    let now = clock::wall();
    let (mut items, mut failed) = (Vec::new(), 0);
    for (id, result) in recover::recover_all(&data, &clock::boot_id(), now)? {
        match result {
            Ok(recovered) => {
                // A recording whose order still stands goes on when capture starts.
                let order = set.get(id);
                let goes_on = order.is_some_and(|order| !order.is_over(now));
                if !recovered.is_closed && !goes_on {
                    let until = order.and_then(|order| order.stop).map_or(now, |stop| stop.min(now));
                    recover::close(&data.take(id), until, now)?;
                }
                if recovered.was_changed && !arguments.json {
                    print(&format!("{id}: made whole, {} frames", recovered.info.frames))?;
                }
                items.push(json!({"id": id, "changed": recovered.was_changed, "frames": recovered.info.frames}));
            }
            Err(error) => {
                failed += 1;
                note(&format!("recording {id} is left as it is: {error}"));
            }
        }
    }
    if arguments.json {
        print_json(&json!({"items": items, "next": null}))?;
    } else {
        print(&format!("{} recordings looked at", items.len() + failed))?;
    }
    Ok(ExitCode::from(if failed > 0 { 2 } else { 0 }))
}
