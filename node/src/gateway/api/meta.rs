use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use rebuilder_actors::domain::report;
use rebuilder_actors::domain::results::Origin;
use serde::Serialize;

use super::super::Path;
use super::Api;
use super::answer::{Answer, Failure, json};
use super::asked::Asked;

pub(super) async fn distributions(State(api): State<Api>, asked: Asked) -> Answer {
    of(&api, &asked, |origin| Some(origin.distribution.clone())).await
}

/// Releases; `null` among them where something has none.
pub(super) async fn releases(
    State(api): State<Api>,
    Path(distribution): Path<String>,
    asked: Asked,
) -> Answer {
    let is_its = |origin: &Origin| *origin.distribution == distribution;
    of(&api, &asked, |origin| is_its(origin).then(|| origin.release.clone())).await
}

pub(super) async fn architectures(
    State(api): State<Api>,
    Path(distribution): Path<String>,
    asked: Asked,
) -> Answer {
    let is_its = |origin: &Origin| *origin.distribution == distribution;
    of(&api, &asked, |origin| is_its(origin).then(|| origin.architecture.clone())).await
}

/// Of one release; `-` means none.
pub(super) async fn architectures_of(
    State(api): State<Api>,
    Path((distribution, release)): Path<(String, String)>,
    asked: Asked,
) -> Answer {
    let release = Some(release.as_str()).filter(|release| *release != "-");
    let is_its = |origin: &Origin| {
        *origin.distribution == distribution && origin.release.as_deref() == release
    };
    of(&api, &asked, |origin| is_its(origin).then(|| origin.architecture.clone())).await
}

/// What `tell` tells of the origins, each once.
async fn of<T: Ord + Serialize>(
    api: &Api,
    asked: &Asked,
    tell: impl Fn(&Origin) -> Option<T>,
) -> Result<Response, Failure> {
    let is_nothing = asked.which()?.is_none();
    let services = api.services().await?;
    let told = services.views.look(|model| model.origins().filter_map(tell).collect());
    let told: BTreeSet<T> = told.await?;
    let told = if is_nothing { BTreeSet::new() } else { told };
    Ok(json(&told))
}

#[derive(Debug, Serialize)]
struct Keys {
    /// The key with which attestations are countersigned, as PEM.
    current: [String; 1],
}

/// The form that the peer's clients compare byte by byte.
pub(super) async fn public_keys(State(api): State<Api>) -> Answer {
    let services = api.services().await?;
    Ok(json(&Keys { current: [report::public_key_pem_legacy(&services.signer.public_key())] }))
}
