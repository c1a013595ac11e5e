"""Records the figures of privacy that the program must agree with.

    python -m venv venv
    venv/bin/pip install "opacus==1.6.0" "scikit-learn" "pyrage"
    venv/bin/python tests/golden/privacy.py

Writes tests/golden/privacy.json: what Opacus' RDP accountant says of settings, what scikit-learn
says of made-up membership scores, and texts encrypted by rage (the age format).
src/train/private/accountant.rs, src/eval/privacy and src/project/sealed.rs compare.
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyrage
from opacus.accountants import RDPAccountant
from sklearn.metrics import roc_auc_score, roc_curve

orders = [1 + x / 10.0 for x in range(1, 100)] + list(range(12, 64))
assert orders == list(RDPAccountant.DEFAULT_ALPHAS)

cases = []
for q in (0.002, 0.01, 0.05, 0.256, 1.0):
    for sigma in (0.6, 1.0, 2.5):
        for steps in (10, 1000):
            for delta in (1e-5, 3e-6):
                accountant = RDPAccountant()
                accountant.history = [(sigma, q, steps)]
                epsilon = accountant.get_epsilon(delta)
                cases.append(dict(q=q, sigma=sigma, steps=steps, delta=delta, epsilon=float(epsilon)))

rng = np.random.default_rng(3)
attacks = []
for members, others, gap, digits in ((400, 300, 0.5, 7), (1000, 500, 0.0, 7), (250, 250, 1.0, 1)):
    member = np.round(rng.normal(gap, 1, members), digits)
    other = np.round(rng.normal(0, 1, others), digits)
    truth = np.r_[np.ones(members), np.zeros(others)]
    score = np.r_[member, other]
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    attacks.append(
        dict(
            members=member.tolist(),
            others=other.tolist(),
            auc=float(roc_auc_score(truth, score)),
            tpr=float(tpr[fpr <= 0.01].max()),
        )
    )

text = bytes(range(256)) * 300  # more than one chunk of 64 KiB
identity = pyrage.x25519.Identity.generate()
sealed = dict(
    passphrase="correct horse",
    by_passphrase=base64.b64encode(pyrage.passphrase.encrypt(text, "correct horse")).decode(),
    identity=str(identity),
    by_key=base64.b64encode(pyrage.encrypt(b"for a key", [identity.to_public()])).decode(),
)

here = Path(__file__).parent
record = dict(
    versions={p: version(p) for p in ("opacus", "scikit-learn", "pyrage", "numpy")},
    accountant=dict(tolerance="1e-6 relative", cases=cases),
    membership=dict(tolerance=1e-9, attacks=attacks),
    sealed=sealed,
)
(here / "privacy.json").write_text(json.dumps(record, indent=1) + "\n")
