//! What judges `deploy/`: the programs that read it when it is deployed, and a browser for the exporter's page.

use std::path::PathBuf;

use anyhow::Result;

use super::{debian, python};
use crate::checkout;

/// Schemas come with it, so the check is offline. The newest Kubernetes that this version knows is what it checks against.
pub(crate) const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.37.0";

const ENVIRONMENT: &str = "deploy/python";

pub(super) fn set_up() -> Result<()> {
    debian::install(&debian::DEPLOY)?;
    python::environment("kubernetes-validate", ENVIRONMENT, &[KUBERNETES_VALIDATE])
}

/// The program itself.
pub(crate) fn kubernetes_validate() -> PathBuf {
    checkout::cache(ENVIRONMENT).join("bin/kubernetes-validate")
}
