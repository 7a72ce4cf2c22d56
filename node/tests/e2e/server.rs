//! A folder on the loopback, over HTTP, that remembers who asked for what.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::tools::processes_with;

/// A folder that is served until the process ends, or the server is to break down.
pub struct Server {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// As it was sent, with its query.
    pub path: String,
    /// Processes with the mark that were there at that moment.
    pub marked: usize,
}

struct Inner {
    folder: PathBuf,
    address: SocketAddr,
    requests: Mutex<Vec<Request>>,
    mark: Mutex<Option<String>>,
    /// The end of the path at which the server breaks down.
    breaks_at: Mutex<Option<String>>,
    is_down: AtomicBool,
}

impl Server {
    /// Serves `folder`, which is made.
    pub fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            folder,
            address,
            requests: Mutex::default(),
            mark: Mutex::default(),
            breaks_at: Mutex::default(),
            is_down: AtomicBool::new(false),
        });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_down.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, inner }
    }

    /// Its root.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on every request remembers whether processes with this mark are there.
    pub fn mark(&self, mark: &str) {
        *self.inner.mark.lock().unwrap() = Some(mark.to_owned());
    }

    /// Breaks down, for good, at the first request for a path that ends so.
    pub fn break_at(&self, end: &str) {
        *self.inner.breaks_at.lock().unwrap() = Some(end.to_owned());
    }

    pub fn is_down(&self) -> bool {
        self.inner.is_down.load(Ordering::SeqCst)
    }

    /// All requests whose path has `part`.
    pub fn requests(&self, part: &str) -> Vec<Request> {
        let requests = self.inner.requests.lock().unwrap();
        requests.iter().filter(|request| request.path.contains(part)).cloned().collect()
    }

    pub fn forget_requests(&self) {
        self.inner.requests.lock().unwrap().clear();
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
        loop {
            let Some(Ok(request)) = lines.next() else { return };
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let sent = request.split(' ').nth(1).unwrap_or("/").to_owned();
            self.remember(&sent);
            let path = sent.split('?').next().unwrap_or_default();
            if self.breaks_at.lock().unwrap().as_ref().is_some_and(|end| path.ends_with(end)) {
                self.is_down.store(true, Ordering::SeqCst);
                // Wakes the listener, which then closes; one that is closed already does not mind.
                let _ = TcpStream::connect(self.address);
            }
            if self.is_down.load(Ordering::SeqCst) {
                return;
            }
            let path = decoded(path.trim_start_matches('/').trim_start_matches("./"));
            let (status, body) = match std::fs::read(self.folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
                return;
            }
        }
    }

    fn remember(&self, path: &str) {
        let mark = self.mark.lock().unwrap().clone();
        let marked = mark.map_or(0, |mark| processes_with(&mark));
        self.requests.lock().unwrap().push(Request { path: path.to_owned(), marked });
    }
}

fn decoded(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.expect("a client escapes with two digits"));
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).expect("names are UTF-8")
}
