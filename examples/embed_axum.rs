//! accrue inside an axum application of your own: `cargo run --example embed_axum`, then
//! `curl -H 'x-user: alice' -G localhost:3000/auth --data-urlencode 'capability={"alice:1":["subscribe"]}'`

use accrue::ably::ApiKey;
use accrue::{
    AuthService, Caller, Client, ClientId, Issuer, Moment, Rules, Sealing, SealingKeys, SealingSecret,
    ServiceSettings, Strategy, Unauthenticated, Vocabulary,
};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;

/// What your application knows of whoever is signed in.
#[derive(Clone)]
struct User(String);

/// Stands for your own session middleware; a header would be no proof of anything.
async fn session(mut request: Request, next: Next) -> Response {
    if let Some(user) = request.headers().get("x-user").and_then(|user| user.to_str().ok()) {
        let user = User(user.to_owned());
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

fn auth_service() -> Result<AuthService, Box<dyn std::error::Error>> {
    // these come from your secret store; the names before the colons are no secrets
    let key = ApiKey::parse("app.key:an-ably-secret")?;
    let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
    let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);

    let mut rules = Rules::default();
    rules.add("{clientId}:*", &["subscribe", "publish"], &Vocabulary::default())?;
    let issuer = Issuer::new(key, Strategy::Cookie(sealing), rules)?;

    let authenticate = async |caller: Caller| match caller.extensions.get::<User>() {
        Some(User(name)) => Ok(Client::new(ClientId::try_from(name.as_str())?)),
        None => Err(Unauthenticated::Refused("no session".into())),
    };
    Ok(AuthService::new(issuer, authenticate, ServiceSettings::default(), Moment::now))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new()
        .route("/", get(async || "your application"))
        .route_service("/auth", auth_service()?)
        .layer(middleware::from_fn(session));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
