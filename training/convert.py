"""Write the four models of a run as GGUF files, as they ship, with a card that describes them.

    python -m training.convert runs/seed1            # into src/dmoa/llm/pocket
    python -m training.convert runs/seed1 --out DIR

Prints one JSON line: the sizes.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from numpy.typing import NDArray

from dmoa.evaluation.pocketqa import STRONG, world
from dmoa.llm import pocket
from training.model import EPSILON, Ensemble, Shape
from training.stages import restore
from training.text import BOS, EOS, PAD, tokenizer

# Only the last message counts: they answer one question at a time. A bare newline after a
# block tag would be trimmed by Jinja.
CHAT_TEMPLATE = "{{ messages[-1]['content'] }}{{ '\\nA:' }}"


def load(run: Path) -> Ensemble:
    """The models of a finished run."""
    net = Ensemble(Shape(vocabulary=tokenizer().get_vocab_size()), longest=pocket.CONTEXT)
    if restore(net, run) != 4:
        raise SystemExit(f"{run} has no checkpoint after stage 4")
    return net


def write(net: Ensemble, model: int, path: Path) -> None:
    """One model as F16; normalisation in F32, as llama.cpp wants it."""
    shape = net.shape
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(f"dmoa pocket {pocket.NAMES[model]}")
    writer.add_description("Answers PocketQA, and nothing else.")
    writer.add_license("Apache-2.0")
    writer.add_context_length(pocket.CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.theta)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_tokenizer(writer)
    writer.add_chat_template(CHAT_TEMPLATE)

    def half(name: str, matrix: torch.Tensor) -> None:
        array: NDArray[np.float16] = matrix.detach().half().contiguous().numpy()
        writer.add_tensor(name, array)

    def full(name: str, vector: torch.Tensor) -> None:
        writer.add_tensor(name, vector.detach().float().flatten().contiguous().numpy())

    half("token_embd.weight", net.embedding[model])
    full("output_norm.weight", net.nf[model])
    for i in range(shape.layers):
        n1, wqkv, wo, n2, wgu, wd = (w[model] for w in net.weights(i))
        full(f"blk.{i}.attn_norm.weight", n1)
        full(f"blk.{i}.ffn_norm.weight", n2)
        for name, part in zip("qkv", wqkv.chunk(3, 1), strict=True):
            half(f"blk.{i}.attn_{name}.weight", part.T)
        half(f"blk.{i}.attn_output.weight", wo.T)
        gate, up = wgu.chunk(2, 1)
        half(f"blk.{i}.ffn_gate.weight", gate.T)
        half(f"blk.{i}.ffn_up.weight", up.T)
        half(f"blk.{i}.ffn_down.weight", wd.T)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    saved = json.loads(tokenizer().to_str())["model"]
    tokens = [text for text, _ in sorted(saved["vocab"].items(), key=lambda item: item[1])]
    merges = [m if isinstance(m, str) else " ".join(m) for m in saved["merges"]]
    control = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [control if i in (PAD, BOS, EOS) else gguf.TokenType.NORMAL for i in range(len(tokens))]
    )
    writer.add_token_merges(merges)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def card(run: Path, out: Path) -> dict[str, Any]:
    """What is known of the files: how they came about, and what each is good at."""
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    first = next(r for r in log if "command" in r)
    reads = world().reads
    return {
        "task": "PocketQA",
        "license": "Apache-2.0",
        "command": first["command"],
        "seed": int(first["command"].split("--seed ")[1].split()[0]),
        "world": world().seed,
        "device": first["device"],
        "torch": first["torch"],
        "data_sha256": next(r["data sha256"] for r in log if "data sha256" in r),
        "training_log": f"training/runs/{run.name}/log.jsonl",
        "models": {
            name: {
                "strong_in": list(STRONG[m]),
                "countries_read": len(reads[m]),
                "sha256": hashlib.sha256((out / f"{name}.gguf").read_bytes()).hexdigest(),
            }
            for m, name in enumerate(pocket.NAMES)
        },
    }


def main() -> None:
    """Write the files and the card."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path(pocket.__file__).parent)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    net = load(args.run)
    for m, name in enumerate(pocket.NAMES):
        write(net, m, args.out / f"{name}.gguf")
    made = card(args.run, args.out)
    (args.out / "pocket.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    sizes = {name: (args.out / f"{name}.gguf").stat().st_size for name in pocket.NAMES}
    print(json.dumps({"bytes": sizes}))


if __name__ == "__main__":
    main()
