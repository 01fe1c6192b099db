use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::iter;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::limits::Limits;
use crate::service::{AdminService, AuthService, Body};

/// What [`serve`] serves.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>;

    /// What is answered when there is too much to do to look at the request.
    fn overloaded(&self, head: &Parts) -> Response<Body>;
}

impl Handler for AuthService {
    fn handle<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.handle(request)
    }

    fn overloaded(&self, head: &Parts) -> Response<Body> {
        self.overloaded(head)
    }
}

impl Handler for AdminService {
    fn handle<B>(&self, request: Request<B>) -> impl Future<Output = Response<Body>> + Send
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.handle(request)
    }

    fn overloaded(&self, head: &Parts) -> Response<Body> {
        self.overloaded(head)
    }
}

/// Serves HTTP/1.1 on a listener until `shutdown` is ready, then stops accepting and lets requests in flight finish.
///
/// Also those that are still on their way: who has connected by then is answered once more, told that this was the last
/// time (`Connection: close`), and closed. For who says nothing a tenth of `drain_timeout` is waited.
///
/// `on_response` sees every response before it is written, with its [`Outcome`](crate::Outcome) among the
/// extensions, and how long it took: the place for logs and counters. `on_accept_error` hears, at most once a minute,
/// why no connection could be accepted, which is mostly that the process may open no more files. It is tried again.
///
/// ```no_run
/// # async fn example(service: accrue::AuthService) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
/// accrue::serve(listener, service, accrue::Limits::default(), |_response, _took| {}, |_error| {}, stop).await;
/// # Ok(())
/// # }
/// ```
pub async fn serve(
    listener: TcpListener,
    handler: impl Handler,
    limits: Limits,
    on_response: impl Fn(&mut Response<Body>, Duration) + Send + Sync + 'static,
    on_accept_error: impl Fn(&io::Error),
    shutdown: impl Future<Output = ()>,
) {
    let server = Arc::new(Server {
        handler,
        limits,
        requests: Semaphore::new(limits.requests),
        stopping: AtomicBool::new(false),
        on_response: Box::new(on_response),
    });
    let connections = Arc::new(Semaphore::new(limits.connections));
    // beyond the limit some are told so; beyond that, closing is all there is time for
    let turned_away = Arc::new(Semaphore::new(limits.connections.clamp(16, 256)));
    let graceful = GracefulShutdown::new();
    let admit = |stream| {
        let (permit, admitted) = match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => (permit, Admitted::Yes),
            Err(_) => match Arc::clone(&turned_away).try_acquire_owned() {
                Ok(permit) => (permit, Admitted::No),
                Err(_) => return,
            },
        };
        tokio::spawn(connection(Arc::clone(&server), stream, permit, admitted, graceful.watcher()));
    };

    let mut told: Option<Instant> = None;
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, _)) => admit(stream),
            // the peer is gone already
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN_AFTER) {
                    on_accept_error(&error);
                    told = Some(Instant::now());
                }
                // until somebody has closed a file
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    server.stopping.store(true, Ordering::Relaxed);
    // The system has accepted more than has come up here, and their requests may be there already. Nothing else is done
    // between the last of them and the end of the listener, which refuses those that come between.
    if let Ok(listener) = listener.into_std() {
        let waiting = iter::from_fn(|| {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => return Some(stream),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(_) => return None,
                }
            }
        });
        let waiting: Vec<_> = waiting.take(limits.connections).collect();
        drop(listener);
        for stream in waiting {
            if stream.set_nonblocking(true).is_ok() {
                let _ = TcpStream::from_std(stream).map(admit);
            }
        }
    }
    let _ = timeout(limits.drain_timeout, async {
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        let _ = timeout(limits.drain_timeout / 10, connections.acquire_many(all)).await;
        graceful.shutdown().await;
    })
    .await;
}

struct Server<H> {
    handler: H,
    limits: Limits,
    requests: Semaphore,
    stopping: AtomicBool,
    on_response: Box<OnResponse>,
}

type OnResponse = dyn Fn(&mut Response<Body>, Duration) + Send + Sync;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Yes,
    No,
}

async fn connection<H: Handler>(
    server: Arc<Server<H>>,
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    admitted: Admitted,
    watcher: Watcher,
) {
    // answers are small and written whole, so there is nothing to wait for
    let _ = stream.set_nodelay(true);
    let limits = server.limits;
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        // in a box, or every idle connection would keep the 5 KiB that answering takes
        Box::pin(async move { Ok::<_, Infallible>(server.answer(request, admitted).await) })
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // larger than what the service answers with 431, so that it is the service that answers
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .keep_alive(admitted == Admitted::Yes)
        // who has said all may still be listening
        .half_close(true)
        // answers are small: one buffer and one write. `pipeline_flush` would do that too, but holds an answer back
        // while anything unread is buffered, and loses it when the connection then closes
        .writev(false)
        .serve_connection(TokioIo::new(stream), service);
    // a connection that fails has failed its own client only, who knows
    let _ = watcher.watch(connection).await;
    drop(permit);
}

impl<H: Handler> Server<H> {
    async fn answer(&self, request: Request<Incoming>, admitted: Admitted) -> Response<Body> {
        let started = Instant::now();
        // a server that has much to do is not dead
        let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
        let permit = self.requests.try_acquire().ok();
        let served = admitted == Admitted::Yes && (permit.is_some() || is_probe);
        let mut response = match served {
            true => {
                let deadline = started + self.limits.body_timeout;
                let request = request.map(|body| Timely { body, deadline, late: None });
                self.handler.handle(request).await
            }
            false => self.handler.overloaded(&request.into_parts().0),
        };
        drop(permit);
        if self.stopping.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (self.on_response)(&mut response, started.elapsed());
        response
    }
}

/// A body that has to be there by a certain time, however busily it drips.
struct Timely {
    body: Incoming,
    deadline: Instant,
    /// Set when there is something to wait for, which most requests have not.
    late: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Timely {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline;
        let late = self.late.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        late.as_mut().poll(cx).map(|()| Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 512;
