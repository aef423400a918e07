#!/usr/bin/env bash
# peft 0.21.2 (torch 2.15.0, transformers 5.23.0): the mean of two equal LoRA adapters is twice,
# once or half of them.
#
# An expert would expect: add_weighted_adapter with weights [0.5, 0.5] averages the two changes of
#   the weights; of two equal adapters every way of combining gives that adapter.
# Seen: "linear" gives 2 times the change, "cat" and "svd" give it once, "ties_svd" (nothing
#   pruned) a half. Weights of [1, 0] give it once in all but ties_svd. "linear" takes the root of
#   each weight, adds the A of both and the B of both, and multiplies: (a A + b A)(a B + b B) has
#   mixed terms too, which are as large as the plain ones where the adapters are alike.
# Why it matters: adapters of successive cycles are alike and are averaged to calm them; so they
#   are nearly doubled. Logits stay plausible, so nothing but a comparison with the
#   plain mean shows it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv==0.13.9
"$work/venv/bin/uv" pip install --quiet --python "$work/venv" torch==2.15.0 peft==0.21.2 transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>"$work/log" | tee "$work/seen"
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
base = LlamaForCausalLM(LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4))
config = LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False)
adapted = get_peft_model(base, config, adapter_name="one")
adapted.add_adapter("other", config)
layer = adapted.base_model.model.model.layers[0].self_attn.q_proj
for factor in layer.lora_A, layer.lora_B:
    factor["other"].load_state_dict(factor["one"].state_dict())
change = layer.get_delta_weight("one")
for combination in "linear", "cat", "svd", "ties_svd":
    options = {"density": 1.0} if combination == "ties_svd" else {}
    factors = []
    for number, weights in enumerate(([0.5, 0.5], [1.0, 0.0])):
        name = f"{combination}{number}"
        adapted.add_weighted_adapter(["one", "other"], weights, name, combination_type=combination, **options)
        mean = layer.get_delta_weight(name)
        factor = (mean.norm() / change.norm()).item()
        assert torch.allclose(mean, factor * change, atol=1e-5)  # a multiple of it, and nothing else
        factors.append(f"{factor:.3f}")
    print(f"{combination}: weights .5 and .5 give {factors[0]} times the adapter, 1 and 0 give {factors[1]}")
PY
diff - "$work/seen" <<'EXPECTED'
linear: weights .5 and .5 give 2.000 times the adapter, 1 and 0 give 1.000
cat: weights .5 and .5 give 1.000 times the adapter, 1 and 0 give 1.000
svd: weights .5 and .5 give 1.000 times the adapter, 1 and 0 give 1.000
ties_svd: weights .5 and .5 give 0.500 times the adapter, 1 and 0 give 0.500
EXPECTED
