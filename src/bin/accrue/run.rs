use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use accrue::{Assembled, Body, Config, HttpsClient, Moment, Outcome, Revoking};
use http::Response;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::admin::SecondCalls;
use crate::metrics::Metrics;
use crate::{log_lines, process, telemetry};

/// Runs the service until it is told to stop. `started` learns the address, `decorate` sees every response.
pub(crate) fn run(
    config: Config,
    decorate: impl Fn(&mut Response<Body>, &Outcome) + Send + Sync + 'static,
    started: impl FnOnce(SocketAddr),
) -> Result<ExitCode, String> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let _batching = log_lines::batch();
        let (listen, admin_listen, limits) = (config.listen(), config.admin(), config.limits());
        let metrics = match admin_listen {
            Some(_) => Some(Metrics::start()?),
            None => None,
        };
        let handle = metrics.as_ref().map(|metrics| metrics.handle().clone());
        let shown = handle.clone();
        let show = move || shown.as_ref().map(PrometheusHandle::render).unwrap_or_default();
        let Assembled { service, admin, revocation, .. } =
            config.assemble(HttpsClient::new(), show, Moment::now).map_err(|error| error.to_string())?;

        let (listener, address) = bind(listen, "choose another address with --listen").await?;
        let admin = match (admin, admin_listen) {
            (Some(admin), Some(listen)) => Some((admin, bind(listen, "choose another for admin").await?)),
            _ => None,
        };
        let stopping = stop_signal()?;

        // whoever started it may not listen, which is no reason not to serve
        let mut lines = format!("listening on http://{address}\n");
        if let Some((_, (_, address))) = &admin {
            lines += &format!("admin on http://{address}\n");
        }
        let _ = process::print(&lines);
        started(address);

        // asks for what it needs now rather than at the first request
        let readiness = service.clone();
        tokio::spawn(async move {
            if let Err(cause) = readiness.ready().await {
                warn!("not ready yet: {cause}");
            }
        });
        if let Some(handle) = handle {
            tokio::spawn(upkeep(handle));
        }
        let second_calls = Arc::new(SecondCalls::new(revocation, stopping.clone()));
        let follow_up = {
            let second_calls = Arc::clone(&second_calls);
            move |response: &mut Response<Body>, _| {
                match response.extensions_mut().remove::<Revoking>() {
                    Some(revoking) => second_calls.follow_up(&revoking),
                    // somebody tries the token, or a page the listener
                    None if response.status().is_client_error() => {
                        warn!(target: "accrue::admin", status = response.status().as_u16(), "refused");
                    }
                    None => {}
                }
            }
        };
        let record = move |response: &mut Response<Body>, took| {
            if let Some(outcome) = response.extensions_mut().remove::<Outcome>() {
                telemetry::record(&outcome, response.status(), took);
                if let Some(metrics) = &metrics {
                    metrics.count(&outcome, took);
                }
                decorate(response, &outcome);
            }
        };
        let serving =
            accrue::serve(listener, service, limits, record, cannot_accept, stopped(stopping.clone()));
        let administering = async {
            if let Some((admin, (listener, _))) = admin {
                accrue::serve(listener, admin, limits, follow_up, cannot_accept, stopped(stopping.clone()))
                    .await;
            }
        };
        tokio::join!(serving, administering);
        second_calls.finish(limits.drain_timeout).await;
        info!("stopped");
        Ok(ExitCode::SUCCESS)
    });
    // resolving a name can't be given up, and a name server that is down must not keep the process
    runtime.shutdown_background();
    done
}

pub(crate) fn runtime() -> Result<Runtime, String> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| format!("can't start: {error}"))
}

async fn bind(listen: SocketAddr, advice: &str) -> Result<(TcpListener, SocketAddr), String> {
    let failed = |error: std::io::Error| format!("can't listen on {listen}: {error}; {advice}");
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn cannot_accept(error: &std::io::Error) {
    warn!(
        "can't accept connections: {error}; if files are short, raise `ulimit -n` or lower limits.connections"
    );
}

/// Histograms keep what they are told until somebody looks.
async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        handle.run_upkeep();
    }
}

/// Turns true at the first SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> Result<watch::Receiver<bool>, String> {
    let watch = |kind| signal(kind).map_err(|error| format!("can't watch for signals: {error}"));
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: finishing the requests in flight"),
            _ = interrupt.recv() => info!("SIGINT: finishing the requests in flight"),
        }
        let _ = stop.send(true);
    });
    Ok(stopping)
}

pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
