//! Version 0, for clients that know no other.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rebuilder_actors::domain::results::listing::{Binary, NameIs, Order, Walk, Which};
use rebuilder_actors::protocol::Verdict;
use tokio::sync::mpsc;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::{Asked, Paging};
use super::bodies::{Cut, Pieces};
use super::list::{self, List};
use super::shapes::PkgRelease;
use super::{builds, dashboard, meta, queue};

pub(super) fn routes() -> Router<Api> {
    let gone = || post(async || StatusCode::NOT_IMPLEMENTED);
    Router::new()
        .route("/pkgs/list", get(list))
        .route("/queue/list", post(queue::v0))
        .route("/dashboard", get(dashboard::v0))
        .route("/builds/{id}/log", get(log))
        .route("/builds/{id}/diffoscope", get(diffoscope))
        .route("/builds/{id}/attestation", get(attestation))
        .route("/public-keys", get(meta::public_keys))
        .route("/pkgs/sync", gone())
        .route("/queue/push", gone())
        .route("/queue/pop", gone())
        .route("/queue/drop", gone())
        .route("/pkg/requeue", gone())
        .route("/build/ping", gone())
        .route("/build/report", gone())
}

/// Every artifact that is wanted and matches, each file of each release once. `suite` asks for a
/// component. It is made while it is sent, so that nobody's list is whole in memory.
async fn list(State(api): State<Api>, asked: Asked) -> Answer {
    let services = api.services().await?;
    let verdicts: Option<&'static [Option<Verdict>]> = asked.one_of(
        "status",
        &[
            ("GOOD", &[Some(Verdict::Reproduced)][..]),
            ("BAD", &[Some(Verdict::Differs), Some(Verdict::Missing)]),
            // Version 0 has no word for a failed build.
            ("FAIL", &[Some(Verdict::Differs), Some(Verdict::Missing)]),
            ("UNKWN", &[None]),
        ],
    )?;
    let text = |name: &str| asked.text(name).map(str::to_owned);
    let which = Which {
        distribution: text("distro"),
        component: text("suite").filter(|suite| !suite.is_empty()),
        architecture: text("architecture"),
        name: text("name").map(NameIs::Exactly),
        ..Which::default()
    };
    let is_asked = move |row: &Binary| {
        verdicts.is_none_or(|verdicts| verdicts.contains(&row.listed.package.verdict))
    };
    if which.name.is_some() {
        let list: List<Binary> = list::page(&api, Some(which), &Paging::all()).await?;
        let rows = list.records.into_iter().filter(is_asked);
        let rows: Vec<PkgRelease> = rows.map(|row| PkgRelease::from(row.listed.package)).collect();
        return Ok(json(&rows));
    }
    let (pieces, taken) = mpsc::channel(1);
    tokio::spawn(async move {
        let walk = Walk::<Binary>::new(which, Order::Id);
        let (mut after, mut separator) = (None, "[");
        loop {
            let page = match api.scan().await {
                // A turn for each piece: who reads slowly holds nobody up.
                Ok(_scan) => services.views.page(&walk, after, PIECE).await.ok(),
                Err(_) => None,
            };
            let Some(page) = page else {
                let _ = pieces.send(Err(Cut)).await;
                return;
            };
            let mut text = String::new();
            for row in page.rows.into_iter().filter(is_asked) {
                let row = serde_json::to_string(&PkgRelease::from(row.listed.package));
                text.push_str(separator);
                text.push_str(&row.expect("a row has only text and numbers"));
                separator = ",";
            }
            after = page.next;
            if after.is_none() {
                text.push_str(if separator == "[" { "[]" } else { "]" });
            }
            let is_gone = !text.is_empty() && pieces.send(Ok(text.into())).await.is_err();
            if is_gone || after.is_none() {
                return;
            }
        }
    });
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((kind, Body::new(Pieces::new(taken))).into_response())
}

/// Rows of one piece.
const PIECE: usize = 400;

async fn log(state: State<Api>, id: Path<i32>) -> Response {
    old(builds::log(state, id).await)
}

async fn diffoscope(State(api): State<Api>, Path(id): Path<i32>) -> Response {
    old(builds::first_diffoscope(&api, id).await)
}

async fn attestation(State(api): State<Api>, Path(id): Path<i32>) -> Response {
    old(builds::first_attestation(&api, id).await)
}

/// What is not there has words in this version, which clients compare.
fn old(answer: Answer) -> Response {
    match answer {
        Err(Failure::Absent) => (StatusCode::NOT_FOUND, "Not found\n").into_response(),
        answer => answer.into_response(),
    }
}
