//! AWS Lambda: this binary, called `bootstrap`, asks Lambda's Runtime API for events and answers them.

mod answer;
mod event;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Once;
use std::time::Duration;

use accrue::{
    Assembled, AuthService, Body, Environment as _, HttpCall, HttpClient as _, HttpsClient, Moment, Outcome,
};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::process::Process;
use crate::{Configured, process, run, telemetry};
use answer::{Answer, Form};

/// Where the Runtime API is, if this process is to be a Lambda function.
pub(crate) fn runtime_api() -> Option<String> {
    Process.variable("AWS_LAMBDA_RUNTIME_API")
}

/// Answers events until Lambda ends this process.
pub(crate) fn lambda(runtime_api: &str) -> Result<ExitCode, String> {
    let runtime = run::runtime()?;
    let done = runtime.block_on(async {
        let client = HttpsClient::new();
        let service = match assemble(client.clone()) {
            Ok(service) => service,
            Err(message) => {
                report(&client, runtime_api, &message).await;
                return Err(message);
            }
        };
        let stopping = run::stop_signal()?;
        // while Lambda still lends the processor that is for starting
        if let Err(cause) = service.ready().await {
            warn!("not ready yet: {cause}");
        }
        // one event at a time, or as many as AWS_LAMBDA_MAX_CONCURRENCY says
        let answering =
            Runtime::new(service_fn(move |event| answer(service.clone(), event))).run_concurrent();
        tokio::select! {
            ended = answering => ended.map_err(|error| format!("the Runtime API failed: {error}"))?,
            // Lambda sends it when nothing is in flight
            () = run::stopped(stopping) => {}
        }
        Ok(ExitCode::SUCCESS)
    });
    runtime.shutdown_background();
    done
}

/// Reads the configuration as `serve` does, and refuses what it refuses where everybody can reach it.
fn assemble(client: HttpsClient) -> Result<AuthService, String> {
    let configured = Configured { config: config_file(), listen: Some(REACHABLE.to_owned()) };
    let (config, notes) = process::config(&configured).map_err(|error| {
        format!("{error}\n(everybody can reach a Lambda, as if it listened on {REACHABLE})")
    })?;
    telemetry::start(config.log(), config.log_format())?;
    for note in notes {
        warn!("{note}");
    }
    if let Some(store) = config.store().filter(|store| store.is_file()) {
        return Err(format!(
            "store.url: {store} is one process's own, and Lambda starts many, none of which would heed what is \
             revoked elsewhere: use redis://HOST:PORT/DB"
        ));
    }
    if config.admin().is_some() {
        warn!(
            "admin: a Lambda has no admin listener; to revoke, run `accrue serve` elsewhere with this configuration"
        );
    }
    let Assembled { service, .. } =
        config.assemble(client, String::new, process::moment).map_err(|error| error.to_string())?;
    Ok(service)
}

/// What `ACCRUE_CONFIG` names, or the accrue.toml in the function's package or next to this binary; without one, the
/// environment alone.
fn config_file() -> Option<PathBuf> {
    let named = Process.variable("ACCRUE_CONFIG").map(PathBuf::from);
    let task_root = Process.variable("LAMBDA_TASK_ROOT").map(PathBuf::from);
    let beside = std::env::current_exe().ok().as_deref().and_then(Path::parent).map(Path::to_owned);
    named.or_else(|| {
        let folders = [task_root, beside].into_iter().flatten();
        folders.map(|folder| folder.join("accrue.toml")).find(|file| file.exists())
    })
}

/// Tells Lambda why there will be no answers. Standard error has it too, so it may fail.
async fn report(client: &HttpsClient, runtime_api: &str, message: &str) {
    let error_type = "Runtime.ConfigInvalid";
    let body = json!({ "errorType": error_type, "errorMessage": message, "stackTrace": [] });
    let request = Request::post(format!("http://{runtime_api}/2018-06-01/runtime/init/error"))
        .header("lambda-runtime-function-error-type", error_type)
        .body(Bytes::from(body.to_string()));
    if let Ok(request) = request {
        let _ = client.send(HttpCall::new(request, Duration::from_secs(2))).await;
    }
}

async fn answer(service: AuthService, event: LambdaEvent<Value>) -> Result<Answer, Diagnostic> {
    let started = Instant::now();
    let (request, form) = event::read(event.payload)
        .map_err(|error| Diagnostic { error_type: "NotHttp".to_owned(), error_message: error.to_string() })?;
    let (head, body) = request.into_parts();
    if form == Form::SingleValue {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| warn!(target: "accrue::advice", "{SET_MULTI_VALUE_HEADERS}"));
    }

    let left = event.context.deadline.saturating_sub(Moment::now().now_ms());
    let answered = service.handle(Request::from_parts(head.clone(), body));
    let mut response = match timeout(Duration::from_millis(left).saturating_sub(LAST_WORD), answered).await {
        Ok(response) => response,
        Err(_) => too_late(&service, &head),
    };
    // written before the answer is: afterwards Lambda freezes this process
    if let Some(outcome) = response.extensions_mut().remove::<Outcome>() {
        telemetry::record(&outcome, response.status(), started.elapsed());
    }
    if head.method == Method::HEAD {
        *response.body_mut() = Body::default();
    }
    Ok(form.write(response).await)
}

/// 503 in the usual shape, rather than that Lambda ends this process and says 502.
fn too_late(service: &AuthService, head: &Parts) -> Response<Body> {
    let mut response = service.overloaded(head);
    if let Some(outcome) = response.extensions_mut().get_mut::<Outcome>() {
        outcome.cause = Some(
            "the function's timeout was near: it must be above the timeouts of authentication and check together"
                .to_owned(),
        );
    }
    response
}

const SET_MULTI_VALUE_HEADERS: &str = "the load balancer passes on only the last of headers and parameters that stand \
    more than once: set lambda.multi_value_headers.enabled for its target group";
/// What a Lambda counts as listening on: by function URLs, API Gateway and load balancers everybody can reach it.
const REACHABLE: &str = "0.0.0.0:443";
/// Before the function's timeout, for an answer to get out.
const LAST_WORD: Duration = Duration::from_millis(200);
