//! A whole server of two closures, who is calling and what they may do: `cargo run --example closure`, then
//! `curl -i -H 'authorization: Bearer of-alice' -G localhost:3000/auth --data-urlencode 'capability={"room:1":["subscribe"]}'`

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

use accrue::ably::ApiKey;
use accrue::{
    Asked, AuthService, Caller, Capability, Client, ClientId, Decision, Issuer, Limits, Moment, Question,
    Sealing, SealingKeys, SealingSecret, ServiceSettings, Strategy, Unauthenticated,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // these come from your secret store; the names before the colons are no secrets
    let key = ApiKey::parse("app.key:an-ably-secret")?;
    let secret = SealingSecret::parse("k1:ZG9jdW1lbnRhdGlvbi1zYW1wbGUtZG8tbm90LXVzZSE")?;
    let sealing = Sealing::new(SealingKeys::new(&key, vec![secret])?);

    // who is calling?
    let authenticate = async |caller: Caller| match caller.headers.get("authorization") {
        Some(token) if token == "Bearer of-alice" => Ok(Client::new(ClientId::try_from("alice")?)),
        Some(token) if token == "Bearer of-bob" => Ok(Client::new(ClientId::try_from("bob")?)),
        _ => Err(Unauthenticated::Refused("no such token".into())),
    };

    // may they? Members may do in a room whatever they ask for
    let members = Arc::new(BTreeMap::from([
        ("room:1", BTreeSet::from(["alice", "bob"])),
        ("room:2", BTreeSet::from(["bob"])),
    ]));
    let check = move |question: Question| {
        let members = Arc::clone(&members);
        async move {
            let Asked::These(asked) = question.asked else {
                return Decision::Granted(Capability::default());
            };
            let client = question.client.id.as_str();
            let is_member = |room: &str| members.get(room).is_some_and(|members| members.contains(client));
            let granted = asked.iter().filter(|(room, _)| is_member(room.as_str()));
            Decision::Granted(granted.map(|(room, operations)| (room, operations.clone())).collect())
        }
    };

    let issuer = Issuer::new(key, Strategy::Cookie(sealing), check)?;
    let service = AuthService::new(issuer, authenticate, ServiceSettings::default(), Moment::now);
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    accrue::serve(listener, service, Limits::default(), |_response, _took| {}, |_error| {}, stop).await;
    Ok(())
}
