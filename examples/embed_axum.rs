//! accrue inside an axum application of your own: its sessions say who is calling, its database what they may do.
//!
//! `cargo run --example embed_axum`, then
//! `curl -i -b session=of-alice -G localhost:3000/ably/auth --data-urlencode 'capability={"room:1":["subscribe"]}'`

use std::collections::BTreeMap;
use std::error::Error;

use accrue::ably::ApiKey;
use accrue::{
    AuthService, Caller, Capability, Client, ClientId, Decision, Issuer, Moment, PermissionCheck, Question,
    Sealing, SealingKeys, SealingSecret, ServiceSettings, Strategy, Unauthenticated, Vocabulary,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use cookie::Cookie;
use deadpool_sqlite::rusqlite::{self, Connection, OptionalExtension as _};
use deadpool_sqlite::{Config, Pool, Runtime};
use serde_json::json;

/// Your application's data. In memory here: it goes with the process.
const DATABASE: &str = "file:application?mode=memory&cache=shared";
const TABLES: &str = "
    CREATE TABLE sessions (token TEXT PRIMARY KEY, user TEXT NOT NULL);
    INSERT INTO sessions VALUES ('of-alice', 'alice'), ('of-bob', 'bob');
    CREATE TABLE members (user TEXT NOT NULL, room TEXT NOT NULL, operation TEXT NOT NULL);
    INSERT INTO members VALUES
        ('alice', 'room:1', 'subscribe'), ('alice', 'room:1', 'publish'), ('alice', 'room:2', 'subscribe'),
        ('bob', 'room:2', 'subscribe');
";

/// Your session middleware: it puts whoever is signed in into the request's extensions, as a [`Client`].
async fn session(State(pool): State<Pool>, mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let cookies = request.headers().get(header::COOKIE).and_then(|value| value.to_str().ok());
    let mut cookies = Cookie::split_parse(cookies.unwrap_or_default()).filter_map(Result::ok);
    let token = cookies.find(|cookie| cookie.name() == "session").map(|cookie| cookie.value().to_owned());
    if let Some(token) = token {
        let user = query(&pool, move |database| {
            let user = database.prepare("SELECT user FROM sessions WHERE token = ?1");
            user?.query_row([token], |row| row.get::<_, String>(0)).optional()
        });
        // a database that is away is no reason to send people to the sign-in page
        let user = user.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        if let Some(id) = user.and_then(|user| ClientId::try_from(user.as_str()).ok()) {
            request.extensions_mut().insert(Client::new(id));
        }
    }
    Ok(next.run(request).await)
}

/// The permission check: a closure over the pool. A database that is away costs nobody what they hold.
fn membership(pool: Pool) -> impl PermissionCheck {
    move |question: Question| {
        let pool = pool.clone();
        async move {
            match memberships(&pool, question.client.id.to_string()).await {
                Ok(memberships) => Decision::Granted(memberships),
                Err(cause) => Decision::Unavailable(cause),
            }
        }
    }
}

/// All that somebody may do. What goes beyond the question counts for nothing, so it need not be looked at.
async fn memberships(pool: &Pool, user: String) -> Result<Capability, String> {
    let rows = query(pool, move |database| {
        let mut members = database.prepare("SELECT room, operation FROM members WHERE user = ?1")?;
        let rows = members.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
    });
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (room, operation) in rows.await? {
        rooms.entry(room).or_default().push(operation);
    }
    Capability::from_json(&json!(rooms), &Vocabulary::default()).map_err(|error| error.to_string())
}

/// On a thread that may block.
async fn query<T: Send + 'static>(
    pool: &Pool,
    ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, String> {
    let database = pool.get().await.map_err(|error| error.to_string())?;
    let answer = database.interact(ask).await.map_err(|error| error.to_string())?;
    answer.map_err(|error| error.to_string())
}

fn auth_service(pool: Pool) -> Result<AuthService, Box<dyn Error>> {
    // these come from your secret store; the names before the colons are no secrets
    let key = ApiKey::parse("app.key:an-ably-secret")?;
    let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
    let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);
    let issuer = Issuer::new(key, Strategy::Cookie(sealing), membership(pool))?;

    let authenticate = async |caller: Caller| match caller.extensions.get::<Client>() {
        Some(client) => Ok(client.clone()),
        None => Err(Unauthenticated::Refused("no session".into())),
    };
    Ok(AuthService::new(issuer, authenticate, ServiceSettings::default(), Moment::now))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = Config::new(DATABASE).create_pool(Runtime::Tokio1)?;
    query(&pool, |database| database.execute_batch(TABLES)).await?;

    let app = Router::new()
        .route("/", get(async || "your application"))
        .nest_service("/ably", auth_service(pool.clone())?) // tokens are at /ably/auth
        .layer(middleware::from_fn_with_state(pool, session));
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
