#!/usr/bin/env bash
# lightning 2.6.6 with torch 2.15.0: a validation loader that shuffles nothing changes what is
# trained.
#
# An expert would expect: after seed_everything, with deterministic=True and no sanity check, the
#   trained weights do not depend on whether the run is also validated; a loader without shuffling
#   and without workers draws nothing.
# Seen: every pass over a DataLoader draws one number from torch's global generator, for the seeds
#   of workers that do not exist. With a validation set whose step does nothing the weights after
#   three epochs are others than without; with two validations an epoch they are others again. A
#   generator of its own for that loader gives the first weights back.
# Why it matters: to measure more often, to add a test set or to leave validation out changes the
#   network that is measured, so "same seed" does not pair two such runs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv" torch==2.15.0 lightning==2.6.6 torchmetrics==1.9.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>"$work/log" | tee "$work/seen"
import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset


class Network(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Dropout(0.5), torch.nn.Linear(32, 1))

    def training_step(self, batch, index):
        return self.layers(batch[0]).pow(2).mean()

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trained(validation=None, **options):
    lightning.seed_everything(7, verbose=False)
    network = Network()
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", deterministic=True, num_sanity_val_steps=0, logger=False, **options,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(network, DataLoader(images, batch_size=16, shuffle=False), validation)
    return network.layers[0].weight.detach().numpy().tobytes()


images = TensorDataset(torch.ones(64, 4))
plain, again = trained(), trained()
print("twice without validation:", plain == again)
print("validated:", trained(DataLoader(images)) == plain)
print("validated once, validated twice an epoch:",
      trained(DataLoader(images)) == trained(DataLoader(images), val_check_interval=0.5))
print("validated, own generator:", trained(DataLoader(images, generator=torch.Generator())) == plain)
PY
diff - "$work/seen" <<'EXPECTED'
twice without validation: True
validated: False
validated once, validated twice an epoch: False
validated, own generator: True
EXPECTED
