from __future__ import annotations

from inferometer import redact


def test_secret_flags_are_hidden_in_both_spellings() -> None:
    argv = ["serve", "--api-key", "abc", "--hf-token=xyz", "--max-tokens", "5"]
    assert redact.argv(argv) == [
        *("serve", "--api-key", "[hidden]", "--hf-token=[hidden]"),
        *("--max-tokens", "5"),
    ]


def test_long_texts_are_cut_and_say_so() -> None:
    whole, cut = "x" * 2000, "x" * 2000 + " [cut: 2001 characters]"
    assert redact.capped({"a": ["x" * 2001, whole], "n": 1}) == {"a": [cut, whole], "n": 1}


def test_secrets_are_hidden_by_key_and_by_shape() -> None:
    seen = redact.tree(
        {
            "HF_TOKEN": "short",
            "nested": [{"api_key": "k", "note": "uses hf_abcdefghijklmnopqrstuv here"}],
            "max_num_batched_tokens": 2048,
            "tokenizer": "path",
            "password": None,
            "AWS_SECRET_ACCESS_KEY": ["a"],
        }
    )
    assert seen == {
        "HF_TOKEN": "[hidden]",
        "nested": [{"api_key": "[hidden]", "note": "uses [hidden] here"}],
        "max_num_batched_tokens": 2048,
        "tokenizer": "path",
        "password": None,
        "AWS_SECRET_ACCESS_KEY": "[hidden]",
    }
