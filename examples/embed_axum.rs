//! accrue inside an axum application of your own: its sessions say who is calling, its database what they may do.
//!
//! `cargo run --example embed_axum`, then
//! `curl -i -b session=of-alice -G localhost:3000/ably/auth --data-urlencode 'capability={"room:1":["subscribe"]}'`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use accrue::ably::ApiKey;
use accrue::{
    Asked, AuthService, Caller, Capability, Client, ClientId, Decision, Issuer, Moment, PermissionCheck,
    Question, Sealing, SealingKeys, SealingSecret, ServiceSettings, Strategy, Unauthenticated, Vocabulary,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use cookie::Cookie;
use deadpool_sqlite::rusqlite::{self, Connection, OptionalExtension as _};
use deadpool_sqlite::{Config, Pool, Runtime};
use serde_json::json;
use tokio::time::timeout;

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
    if let Some(token) = cookie(request.headers(), "session") {
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

/// In HTTP/2 cookies come in fields of their own, and another application's may be anything.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get_all(header::COOKIE).iter().find_map(|field| {
        let field = String::from_utf8_lossy(field.as_bytes());
        let mut cookies = Cookie::split_parse(&*field).filter_map(Result::ok);
        cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
    })
}

/// The permission check: a closure over the pool. A database that is away costs nobody what they hold.
fn membership(pool: Pool) -> impl PermissionCheck {
    move |question: Question| {
        let pool = pool.clone();
        async move {
            let Asked::These(asked) = question.asked else {
                return Decision::Unavailable(
                    "under strategy \"server\" this would list all memberships".into(),
                );
            };
            match memberships(&pool, question.client.id.to_string(), asked).await {
                Ok(memberships) => Decision::Granted(memberships),
                Err(cause) => Decision::Unavailable(cause),
            }
        }
    }
}

/// What somebody may do of what is asked: in rooms by just these names, of which none holds a `*`. Operations that go beyond
/// the question count for nothing, so they need not be looked at.
async fn memberships(pool: &Pool, user: String, asked: Capability) -> Result<Capability, String> {
    let rows = query(pool, move |database| {
        let mut members = database.prepare("SELECT room, operation FROM members WHERE user = ?1")?;
        let rows = members.query_map([user], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
    });
    let mut rooms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let is_asked = |room: &str| asked.iter().any(|(resource, _)| resource.as_str() == room);
    for (room, operation) in rows.await?.into_iter().filter(|(room, _)| is_asked(room)) {
        rooms.entry(room).or_default().push(operation);
    }
    Capability::from_json(&json!(rooms), &Vocabulary::default()).map_err(|error| error.to_string())
}

/// On a thread that may block, and no longer than anybody should have to wait.
async fn query<T: Send + 'static>(
    pool: &Pool,
    ask: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, String> {
    let answer = async {
        let database = pool.get().await.map_err(|error| error.to_string())?;
        let answer = database.interact(ask).await.map_err(|error| error.to_string())?;
        answer.map_err(|error| error.to_string())
    };
    timeout(Duration::from_secs(2), answer).await.map_err(|_| "the database takes too long".to_owned())?
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
    // who sends slowly is your proxy's business: `axum::serve` waits as long as they like
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
