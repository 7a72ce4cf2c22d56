use base64::Engine as _;
use rebuilder_actors::actor::worker::Secret;
use rebuilder_actors::protocol::wire::EnrolmentKind;
use rebuilder_actors::protocol::{PublicKey, Sha256};

/// An invitation, taken apart: `rebuilder1;ADDRESS;KEY;NUMBER;SECRET`.
pub(super) struct Invitation {
    pub(super) address: String,
    pub(super) coordinator: PublicKey,
    pub(super) secret: Secret,
}

/// Says what is wrong with a token, without using it.
///
/// # Errors
/// It was not printed by `rebuilder-ctl worker invite`, or not copied whole.
pub(crate) fn check_invitation(token: &str) -> Result<(), String> {
    Invitation::parse(token).map(drop)
}

impl Invitation {
    /// Reads a token as `rebuilder-ctl worker invite` prints it.
    pub(super) fn parse(token: &str) -> Result<Self, String> {
        let form = "an invitation looks like `rebuilder1;HOST:PORT;KEY;NUMBER;SECRET`: copy the \
                    whole line that `rebuilder-ctl worker invite` printed";
        let parts: Vec<&str> = token.trim().split(';').collect();
        let ["rebuilder1", address, key, id, secret] = parts.as_slice() else {
            return Err(form.into());
        };
        let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let decode = |text: &str| base64.decode(text).map_err(|_| form.to_owned());
        let coordinator = key.parse().map_err(|e| format!("the invitation's key: {e}"))?;
        let id: [u8; 8] = decode(id)?.try_into().map_err(|_| form.to_owned())?;
        // The coordinator keeps only the digest of the secret: that is the key of the proof.
        let key = Sha256::of(&decode(secret)?).0.to_vec();
        let secret = Secret { kind: EnrolmentKind::Invitation { id }, key };
        Ok(Self { address: (*address).to_owned(), coordinator, secret })
    }
}
