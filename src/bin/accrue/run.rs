use std::net::SocketAddr;
use std::process::ExitCode;

use accrue::{Body, Config, Moment, Outcome};
use http::Response;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::{process, telemetry};

/// Runs the service until it is told to stop. `started` learns the address, `decorate` sees every response.
pub(crate) fn run(
    config: Config,
    decorate: impl Fn(&mut Response<Body>, &Outcome) + Send + Sync + 'static,
    started: impl FnOnce(SocketAddr),
) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("can't start: {error}"))?;
    runtime.block_on(async {
        let (listen, limits) = (config.listen(), config.limits());
        let service = config.assemble(Moment::now);
        let failed = |error: std::io::Error| {
            format!("can't listen on {listen}: {error}; choose another address with --listen")
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = stop_signal().map_err(|error| format!("can't watch for signals: {error}"))?;

        // whoever started it may not listen, which is no reason not to serve
        let _ = process::print(&format!("listening on http://{address}\n"));
        started(address);
        let on_response = move |response: &mut Response<Body>, took| {
            if let Some(outcome) = response.extensions_mut().remove::<Outcome>() {
                telemetry::record(&outcome, response.status(), took);
                decorate(response, &outcome);
            }
        };
        accrue::serve(listener, service, limits, on_response, stop).await;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Ready at the first SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: finishing the requests in flight"),
            _ = interrupt.recv() => info!("SIGINT: finishing the requests in flight"),
        }
    })
}
