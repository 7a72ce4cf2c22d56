//! Version 0, for clients that know no other.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rebuilder_actors::domain::results::Packages;
use rebuilder_actors::protocol::Verdict;
use rebuilder_actors::protocol::wire::v1::ctl::PackageFilter;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure};
use super::asked::Asked;
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

/// Bytes from which a list is no answer of ours.
const LIST_BYTES_MAX: usize = 256 << 20;

/// Every artifact that is wanted and matches, in the order of jobs. `suite` asks for a component.
async fn list(State(api): State<Api>, asked: Asked) -> Answer {
    let services = api.services().await?;
    let verdicts: Option<&[Option<Verdict>]> = asked.one_of(
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
    let filter = PackageFilter {
        distribution: text("distro"),
        component: text("suite").filter(|suite| !suite.is_empty()),
        architecture: text("architecture"),
        ..PackageFilter::default()
    };
    let name = text("name");
    // A list is as long as it is: one at a time is made.
    let _room = api.room(usize::MAX).await?;
    let mut body = String::from("[");
    let mut is_long = false;
    let each = |row: rebuilder_actors::protocol::wire::v1::history::DatedPackage| {
        let package = row.package;
        let is_asked = name.as_ref().is_none_or(|name| *name == package.name)
            && verdicts.is_none_or(|verdicts| verdicts.contains(&package.verdict));
        if is_asked && body.len() < LIST_BYTES_MAX {
            if body.len() > 1 {
                body.push(',');
            }
            let row = serde_json::to_string(&PkgRelease::from(package));
            body.push_str(&row.expect("a row has only text and numbers"));
        }
        is_long |= body.len() >= LIST_BYTES_MAX;
    };
    services.views.each(&Packages(vec![filter]), each).await?;
    if is_long {
        return Err(Failure::Later("the list is longer than 256 MiB: narrow it down".to_owned()));
    }
    body.push(']');
    let kind = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((kind, body).into_response())
}

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
