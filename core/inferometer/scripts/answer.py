"""Score fixed texts and continue them greedily, with transformers alone.

Runs inside an engine's environment: needs torch and transformers, and nothing of ours. Usage::

    python answer.py MODEL TEXTS OUT DTYPE TOKENS

TEXTS is a JSON list of lists of token ids, all of one length; DTYPE a type of torch's. OUT gets a
JSON list with one object for each text: ``logprobs``, the natural logarithm of the probability of
each token but the first given those before it, and ``token_ids``, the TOKENS most probable tokens
that follow, each chosen given those before (an end of sequence is taken as any other).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path


def main(model_path: Path, texts: Path, out: Path, dtype: str, count: int) -> None:
    """Write what the model says of the texts."""
    print("progress: loading torch and transformers", file=sys.stderr, flush=True)
    import torch  # noqa: PLC0415 -- only this needs it
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 -- only this needs it

    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=getattr(torch, dtype)).eval()
    ids = torch.tensor(json.loads(texts.read_text(encoding="utf-8")))
    print(f"progress: answering {len(ids)} fixed texts", file=sys.stderr, flush=True)
    with torch.inference_mode():
        said = model(ids, use_cache=True)
        scores = said.logits[:, :-1].float().log_softmax(-1)
        logprobs = scores.gather(-1, ids[:, 1:, None])[..., 0]
        chosen = [said.logits[:, -1].argmax(-1)]
        while len(chosen) < count:
            said = model(chosen[-1][:, None], past_key_values=said.past_key_values, use_cache=True)
            chosen.append(said.logits[:, -1].argmax(-1))
    rows = [
        {"logprobs": row.tolist(), "token_ids": tokens.tolist()}
        for row, tokens in zip(logprobs, torch.stack(chosen, 1), strict=True)
    ]
    out.write_text(json.dumps(rows), encoding="utf-8")
    tools = {tool: version(tool) for tool in ("torch", "transformers")}
    print(json.dumps({"tools": tools}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), sys.argv[4], int(sys.argv[5]))
