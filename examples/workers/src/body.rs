use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};

/// A request's body, which has to be there within a certain time.
pub(crate) struct RequestBody {
    /// Nothing if there is none, or no more.
    reader: Option<ReadableStreamDefaultReader>,
    reading: Option<JsFuture>,
    timeout: Duration,
    /// Set when there is something to wait for.
    late: Option<Promise>,
}

impl RequestBody {
    pub(crate) fn new(stream: Option<ReadableStream>, timeout: Duration) -> Self {
        Self { reader: stream.map(reader), reading: None, timeout, late: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(reader) = &this.reader else { return Poll::Ready(None) };
        let reading = this.reading.get_or_insert_with(|| {
            let late = this.late.get_or_insert_with(|| after(this.timeout));
            JsFuture::from(Promise::race(&Array::of2(&reader.read(), late)))
        });
        let read = ready!(Pin::new(reading).poll(cx));
        this.reading = None;
        Poll::Ready(match read {
            Ok(read) if read.is_undefined() => Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())),
            Ok(read) => match chunk(&read) {
                Some(chunk) => Some(Ok(Frame::data(chunk))),
                None => {
                    this.reader = None;
                    None
                }
            },
            Err(_) => Some(Err("the body broke off".into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.reader {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}

pub(crate) fn reader(stream: ReadableStream) -> ReadableStreamDefaultReader {
    stream.get_reader().unchecked_into()
}

/// What a reader has read; nothing at the end.
pub(crate) fn chunk(read: &JsValue) -> Option<Bytes> {
    let value = Reflect::get(read, &"value".into()).ok()?;
    Some(Bytes::from(value.dyn_ref::<Uint8Array>()?.to_vec()))
}

/// Becomes `undefined` after this time.
fn after(time: Duration) -> Promise {
    let milliseconds = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    Promise::new(&mut |resolve, _| set_timeout(&resolve, milliseconds))
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32);
}
