//! Bodies, read within a certain time and written whole.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{IncomingBody, OutgoingBody};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, StreamError};

/// A moment after which nothing is waited for.
pub(crate) struct Deadline(Pollable);

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(subscribe_duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Waits; whether it was ready in time.
    pub(crate) fn wait_for(&self, other: &Pollable) -> bool {
        poll(&[other, &self.0]).contains(&0)
    }
}

/// What is read of a body next.
pub(crate) enum Chunk {
    Some(Bytes),
    End,
    Late,
    Broken(String),
}

/// The body of a request or of an answer.
pub(crate) struct Incoming {
    // before the body that it is of, or dropping it would trap
    stream: InputStream,
    _body: IncomingBody,
}

impl Incoming {
    pub(crate) fn new(body: IncomingBody) -> Self {
        Self { stream: body.stream().expect("nobody else has taken it"), _body: body }
    }

    pub(crate) fn next(&self, deadline: &Deadline) -> Chunk {
        loop {
            match self.stream.read(64 * 1024) {
                Ok(bytes) if bytes.is_empty() => {
                    if !deadline.wait_for(&self.stream.subscribe()) {
                        return Chunk::Late;
                    }
                }
                Ok(bytes) => return Chunk::Some(bytes.into()),
                Err(StreamError::Closed) => return Chunk::End,
                Err(StreamError::LastOperationFailed(error)) => {
                    return Chunk::Broken(error.to_debug_string());
                }
            }
        }
    }
}

/// A request's body, which has to be there by a certain time.
pub(crate) struct RequestBody {
    incoming: Incoming,
    deadline: Deadline,
}

impl RequestBody {
    pub(crate) fn new(body: IncomingBody, deadline: Deadline) -> Self {
        Self { incoming: Incoming::new(body), deadline }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.incoming.next(&self.deadline) {
            Chunk::Some(bytes) => Some(Ok(Frame::data(bytes))),
            Chunk::End => None,
            Chunk::Late => Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())),
            Chunk::Broken(why) => Some(Err(why.into())),
        })
    }
}

/// Writes a whole body, or what is taken of it; whether that was in time.
pub(crate) fn write(body: &OutgoingBody, bytes: &[u8], deadline: &Deadline) -> Result<bool, StreamError> {
    match write_whole(body, bytes, deadline) {
        // who has all that was announced closes, and so does who has answered already: what is answered tells
        Err(StreamError::Closed) => Ok(true),
        outcome => outcome,
    }
}

fn write_whole(body: &OutgoingBody, mut bytes: &[u8], deadline: &Deadline) -> Result<bool, StreamError> {
    let stream = body.write().expect("nobody else has taken it");
    while !bytes.is_empty() {
        let room = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if room == 0 {
            if !deadline.wait_for(&stream.subscribe()) {
                return Ok(false);
            }
            continue;
        }
        let (chunk, rest) = bytes.split_at(bytes.len().min(room));
        stream.write(chunk)?;
        bytes = rest;
    }
    stream.flush()?;
    Ok(true)
}
