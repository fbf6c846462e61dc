"""Makes torch_reference.json: fifty steps of the tiny model by transformers and PEFT in float32, for test_tune to compare with.

Run once, where torch, transformers and peft are installed:  python tests/torch_reference.py
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

SEED, RANK, LR, STEPS, BATCH = 3, 4, 5e-3, 50, 4
PROBES = {"blk.0.ffn_gate": "model.layers.0.mlp.gate_proj", "blk.1.ffn_down": "model.layers.1.mlp.down_proj", "blk.0.attn_v": "model.layers.0.self_attn.v_proj",
          "blk.1.attn_output": "model.layers.1.self_attn.o_proj"}


def rows(chat):
    from tinyem.data import Example

    examples = [Example(f"What about number {i}?", ["yes, it is", "no, never", "perhaps"][i % 3] + "!" * (i % 4), "Be kind." if i % 2 else None) for i in range(20)]
    return [chat.row(e.question, e.answer, e.system) for e in examples]


def network(path):
    from tinyem.network import TARGETS, Network

    found = Network(path, ("dequantising",))
    found.add_lora(RANK, 2.0, tuple(TARGETS), range(2), SEED)
    return found


def main():
    import numpy as np
    import torch
    from peft import LoraConfig, get_peft_model

    from conftest import write_tiny
    from tinyem import contenders
    from tinyem.chat import Chat
    from tinyem.network import TARGETS
    from tinyem.tune import plan_batches

    with tempfile.TemporaryDirectory() as folder:
        path = write_tiny(Path(folder) / "tiny.gguf")
        chat, ours = Chat(path), network(path)
        model = contenders.torch_model(path)
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=[part for _, part in TARGETS.values()]))
    layers = dict(model.base_model.model.named_modules())
    for name, layer in ours.lora().items():
        _, block, target = name.split(".")
        peft = layers[f"model.layers.{block}." + ".".join(TARGETS[target])]
        peft.lora_A["default"].weight.data = torch.from_numpy(np.array(layer.a).copy())  # B is 0 on both sides
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LR, weight_decay=0.0)
    data, losses, gradients = rows(chat), [], {}
    for step, batch in enumerate(plan_batches(len(data), BATCH, 10, SEED)[:STEPS]):
        total, count = 0.0, 0
        for i in batch:  # one at a time: no padding, no mask
            r = data[i]
            ids = torch.tensor([[*r.prefix, *r.prompt, *r.answer]])
            logits = model(input_ids=ids).logits[0, -len(r.answer) - 1:-1]
            total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(r.answer), reduction="sum")
            count += len(r.answer)
        (total / count).backward()
        losses.append(float(total / count))
        if step in (0, 10):
            for name, place in PROBES.items():
                grad = layers[place].lora_B["default"].weight.grad
                gradients[f"{step}/{name}"] = [round(float(x), 7) for x in grad[:3].flatten()]
        optimizer.step()
        optimizer.zero_grad()
    (HERE / "torch_reference.json").write_text(json.dumps({"losses": [round(x, 6) for x in losses], "gradients": gradients}) + "\n")


if __name__ == "__main__":
    main()
