//! Signatures in the layout of OpenSSF model signing (<https://github.com/ossf/model-signing-spec>):
//! a sigstore bundle v0.3 around a DSSE envelope around an in-toto statement that lists every file
//! with its SHA-256. The key is a P-256 key of this computer; nothing is sent anywhere.

use std::collections::BTreeMap;
use std::path::Path;

use base64ct::{Base64, Encoding};
use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, LineEnding,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ExportError;

/// Name of the signature in a bundle.
pub const SIGNATURE: &str = "model.sig";
/// Name of the public key in a bundle.
pub const PUBLIC_KEY: &str = "signer.pub";

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A key that signs.
#[derive(Debug, Clone)]
pub struct Key {
    signing: SigningKey,
    public_pem: String,
}

impl Key {
    /// Reads a PEM key (PKCS #8), or makes one where there is none, readable by its owner only.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let io = |source| ExportError::Io { path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(pem) => Self::from_pem(&pem).map_err(|what| ExportError::Signature {
                path: path.to_owned(),
                what: format!("this key cannot be used: {what}"),
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let (key, pem) =
                    Self::generate().map_err(|what| io(std::io::Error::other(what)))?;
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(io)?;
                }
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(path).map_err(io)?;
                std::io::Write::write_all(&mut file, pem.as_bytes()).map_err(io)?;
                Ok(key)
            }
            Err(e) => Err(io(e)),
        }
    }

    fn generate() -> Result<(Self, String), String> {
        // Almost every 32 bytes are a key.
        for _ in 0..16 {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
            if let Ok(secret) = SecretKey::from_slice(&bytes) {
                let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string())?;
                return Ok((Self::from_pem(&pem)?, pem.to_string()));
            }
        }
        Err("the system gives no random numbers".to_owned())
    }

    fn from_pem(pem: &str) -> Result<Self, String> {
        let secret = SecretKey::from_pkcs8_pem(pem).map_err(|e| e.to_string())?;
        let signing = SigningKey::from(secret);
        let public_pem =
            signing.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|e| e.to_string())?;
        Ok(Self { signing, public_pem })
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// What the key is known by.
    pub fn fingerprint(&self) -> String {
        sha256(self.public_pem.as_bytes())
    }

    /// The signature file of a bundle with these files and digests.
    pub fn sign(&self, name: &str, digests: &BTreeMap<String, String>) -> Result<String, String> {
        let json = |e: serde_json::Error| e.to_string();
        let payload = serde_json::to_string(&Statement::of(name, digests)).map_err(json)?;
        let signature: Signature = self.signing.sign(&encoded(payload.as_bytes()));
        let bundle = SigstoreBundle {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: Material {
                public_key: PublicKey { hint: self.fingerprint() },
                tlog_entries: Vec::new(),
            },
            dsse_envelope: Envelope {
                payload: Base64::encode_string(payload.as_bytes()),
                payload_type: PAYLOAD_TYPE.to_owned(),
                signatures: vec![EnvelopeSignature {
                    sig: Base64::encode_string(signature.to_der().as_bytes()),
                    keyid: String::new(),
                }],
            },
        };
        serde_json::to_string_pretty(&bundle).map_err(json)
    }
}

/// What is signed: the pre-authentication encoding of DSSE.
fn encoded(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Digest of all digests, in the order of the files.
fn root(digests: impl Iterator<Item = impl AsRef<str>>) -> Option<String> {
    let mut hash = Sha256::new();
    for digest in digests {
        let digest = digest.as_ref();
        for i in (0..digest.len()).step_by(2) {
            hash.update([u8::from_str_radix(digest.get(i..i + 2)?, 16).ok()?]);
        }
    }
    Some(hex(&hash.finalize()))
}

/// The digests that a signature vouches for, after the signature was checked with the public key.
pub fn verify(signature: &str, public_pem: &str) -> Result<BTreeMap<String, String>, String> {
    let bundle: SigstoreBundle =
        serde_json::from_str(signature).map_err(|e| format!("it is damaged ({e})"))?;
    if bundle.media_type != MEDIA_TYPE {
        return Err(format!("it is of the unknown kind {}", bundle.media_type));
    }
    if bundle.verification_material.public_key.hint != sha256(public_pem.as_bytes()) {
        return Err(format!("it was not made with the key in {PUBLIC_KEY}"));
    }
    let key = VerifyingKey::from_public_key_pem(public_pem)
        .map_err(|e| format!("{PUBLIC_KEY} is no key ({e})"))?;
    let decode = |text: &str| Base64::decode_vec(text).map_err(|_| "it is damaged".to_owned());
    let envelope = &bundle.dsse_envelope;
    let payload = decode(&envelope.payload)?;
    let first = envelope.signatures.first().ok_or("it holds no signature")?;
    let sig = Signature::from_der(&decode(&first.sig)?).map_err(|_| "it is damaged".to_owned())?;
    if envelope.payload_type != PAYLOAD_TYPE || key.verify(&encoded(&payload), &sig).is_err() {
        return Err("it does not belong to this list of files".to_owned());
    }
    let statement: Statement =
        serde_json::from_slice(&payload).map_err(|e| format!("its list is damaged ({e})"))?;
    if statement.kind != STATEMENT || statement.predicate_type != PREDICATE {
        return Err("its list is of an unknown kind".to_owned());
    }
    let resources = statement.predicate.resources;
    let said = statement.subject.first().map(|s| &s.digest.sha256);
    if said != root(resources.iter().map(|r| &r.digest)).as_ref() {
        return Err("its list contradicts itself".to_owned());
    }
    Ok(resources.into_iter().map(|r| (r.name, r.digest)).collect())
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigstoreBundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: PublicKey,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct PublicKey {
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeSignature {
    sig: String,
    #[serde(default)]
    keyid: String,
}

#[derive(Serialize, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Serialize, Deserialize)]
struct SubjectDigest {
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

impl Statement {
    fn of(name: &str, digests: &BTreeMap<String, String>) -> Self {
        let resource = |(name, digest): (&String, &String)| Resource {
            name: name.clone(),
            algorithm: "sha256".to_owned(),
            digest: digest.clone(),
        };
        Self {
            kind: STATEMENT.to_owned(),
            subject: vec![Subject {
                name: name.to_owned(),
                digest: SubjectDigest { sha256: root(digests.values()).unwrap_or_default() },
            }],
            predicate_type: PREDICATE.to_owned(),
            predicate: Predicate {
                serialization: Serialization {
                    method: "files".to_owned(),
                    hash_type: "sha256".to_owned(),
                    allow_symlinks: false,
                    ignore_paths: vec![SIGNATURE.to_owned()],
                },
                resources: digests.iter().map(resource).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/signing.pem");
        let first = Key::open(&path).unwrap();
        assert_eq!(Key::open(&path).unwrap().fingerprint(), first.fingerprint());
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        let other = Key::open(&dir.path().join("other.pem")).unwrap();
        assert_ne!(other.fingerprint(), first.fingerprint());
        std::fs::write(&path, "no key").unwrap();
        assert!(Key::open(&path).unwrap_err().to_string().contains("key"));
    }

    #[test]
    fn signatures_hold_for_their_list_and_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::open(&dir.path().join("a.pem")).unwrap();
        let other = Key::open(&dir.path().join("b.pem")).unwrap();
        let files: BTreeMap<String, String> =
            [("a", "1"), ("b/c", "2")].map(|(n, d)| (n.to_owned(), sha256(d.as_bytes()))).into();
        let signature = key.sign("m", &files).unwrap();
        assert_eq!(verify(&signature, key.public_pem()), Ok(files.clone()));
        assert!(verify(&signature, other.public_pem()).is_err());
        // The other key with the hint of the first, and a list that was changed.
        let forged =
            other.sign("m", &files).unwrap().replace(&other.fingerprint(), &key.fingerprint());
        assert!(verify(&forged, key.public_pem()).unwrap_err().contains("does not belong"));
        let payload = |s: &str| {
            let bundle: serde_json::Value = serde_json::from_str(s).unwrap();
            bundle["dsseEnvelope"]["payload"].as_str().unwrap().to_owned()
        };
        let mut changed = files.clone();
        changed.insert("a".to_owned(), sha256(b"x"));
        let swapped =
            signature.replace(&payload(&signature), &payload(&key.sign("m", &changed).unwrap()));
        assert!(verify(&swapped, key.public_pem()).unwrap_err().contains("does not belong"));
        assert!(verify("{}", key.public_pem()).is_err());
    }
}
