//! A capture that is made up: it speaks the socket's language and does what a test says.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::{frame, status};
use crate::capture::socket::Request;
use crate::capture::take::DataDir;
use crate::sys::files::Lock;

/// Listens until it is dropped; everybody who was connected is then sent away.
pub struct Fake {
    data: DataDir,
    is_over: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<UnixStream>>>,
    thread: Option<JoinHandle<()>>,
    _lock: Option<Lock>,
}

impl Fake {
    /// Answers by `answer`; none of its answers is the usual one.
    pub fn start(data: &DataDir, answer: impl Fn(&Request) -> Option<Value> + Send + Sync + 'static) -> Self {
        std::fs::create_dir_all(data.takes()).unwrap();
        let lock = Lock::try_take(&data.lock()).unwrap();
        let listener = UnixListener::bind(data.socket()).unwrap();
        let (is_over, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (over, streams, answer) = (is_over.clone(), open.clone(), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                streams.lock().unwrap().push(stream.try_clone().unwrap());
                let answer = answer.clone();
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self { data: data.clone(), is_over, open, thread: Some(thread), _lock: lock }
    }
}

fn serve(stream: UnixStream, answer: &(dyn Fn(&Request) -> Option<Value> + Send + Sync)) {
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let request: Request = serde_json::from_str(&line).unwrap();
        let said = match (&request, answer(&request)) {
            (_, Some(said)) => said,
            (Request::Meters, None) => json!(frame(0)),
            (Request::Status, None) => json!({"ok": true, "status": status(&[])}),
            (_, None) => json!({"ok": true}),
        };
        if writeln!(writer, "{said}").is_err() {
            return;
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.data.socket());
        let _ = self.thread.take().unwrap().join();
        let _ = std::fs::remove_file(self.data.socket());
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
