# The Worker on this machine: npx workerd serve worker.capnp
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "accrue", worker = .accrue),
    # whom it may ask: workerd keeps Workers from private addresses unless told otherwise, Cloudflare always
    (name = "internet", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "accrue")],
);

const accrue :Workerd.Worker = (
  modules = [
    (name = "worker.mjs", esModule = embed "dist/worker.mjs"),
    (name = "accrue_workers_bg.js", esModule = embed "dist/accrue_workers_bg.js"),
    (name = "accrue_workers_bg.wasm", wasm = embed "dist/accrue_workers_bg.wasm"),
    (name = "accrue.toml", text = embed "local.toml"),
  ],
  compatibilityDate = "2026-11-01",
  bindings = [
    (name = "ABLY_API_KEY", fromEnvironment = "ABLY_API_KEY"),
    (name = "ACCRUE_SECRETS", fromEnvironment = "ACCRUE_SECRETS"),
    # it is reached from this machine only, so authenticate.claimed is not refused
    (name = "ACCRUE_LISTEN", text = "127.0.0.1:8787"),
  ],
);
