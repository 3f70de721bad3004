"""Prompts against small tokenizers trained in the test: no hub, no model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import pytest
from tokenizers import Tokenizer

from inferometer import workload
from inferometer.errors import MachineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = Literal["bytes", "bos", "metaspace"]


@pytest.mark.parametrize("kind", ["bytes", "bos", "metaspace"])
@pytest.mark.parametrize("tokens", [24, 128, 700])
def test_lengths_are_exact_and_text_gives_the_same_ids(
    path_of: Callable[[Kind], Path], kind: Kind, tokens: int
) -> None:
    path = path_of(kind)
    prompts = workload.build(path, tokens, 30, seed=1)
    tokenizer = Tokenizer.from_file(str(path))
    assert len(prompts) == 30
    assert {len(ids) for ids in prompts.ids} == {tokens}
    assert [tokenizer.encode(text).ids for text in prompts.text] == prompts.ids
    assert prompts.special_tokens == (kind == "bos")
    if kind == "bos":
        assert {ids[0] for ids in prompts.ids} == {1}


@pytest.mark.parametrize("kind", ["bytes", "bos", "metaspace"])
def test_each_prompt_may_have_a_length_of_its_own(
    path_of: Callable[[Kind], Path], kind: Kind
) -> None:
    path = path_of(kind)
    lengths = [24, 700, 31, 128] * 8
    prompts = workload.build_each(path, lengths, seed=1)
    tokenizer = Tokenizer.from_file(str(path))
    assert [len(ids) for ids in prompts.ids] == lengths
    assert [tokenizer.encode(text).ids for text in prompts.text] == prompts.ids
    assert (prompts.cache, prompts.reuse) == ("cold", 0.0)
    assert prompts.ids[3] == workload.build(path, 128, 4, seed=1).ids[3]


@pytest.mark.parametrize("kind", ["bytes", "bos", "metaspace"])
def test_a_text_is_continued_to_an_exact_length(
    path_of: Callable[[Kind], Path], kind: Kind
) -> None:
    path = path_of(kind)
    begun = workload.build(path, 40, 6, seed=1)
    bases = [workload.Base(*base) for base in zip(begun.ids, begun.text, strict=True)]
    made = workload.extend(path, bases, [60, 61, 62, 63, 64, 400], "key")
    assert [len(ids) for ids, _ in made] == [60, 61, 62, 63, 64, 400]
    tokenizer = Tokenizer.from_file(str(path))
    for (ids, text), base in zip(made, bases, strict=True):
        assert tokenizer.encode(text).ids == ids
        assert ids[:40] == list(base.ids)
        assert text.startswith(base.text)


def test_the_same_arguments_give_the_same_work(path_of: Callable[[Kind], Path]) -> None:
    path = path_of("bytes")
    first = workload.build(path, 40, 10, seed=1, salt=0)
    again = workload.build(path, 40, 10, seed=1, salt=0)
    assert first == again
    assert first.sha256([8]) == again.sha256([8]) != first.sha256([9])
    longer = workload.build(path, 40, 12, seed=1, salt=0)
    assert longer.ids[:10] == first.ids
    for other in (
        workload.build(path, 40, 10, seed=2, salt=0),
        workload.build(path, 40, 10, seed=1, salt=1),
    ):
        assert other.sha256([8]) != first.sha256([8])
        assert not {tuple(ids[:16]) for ids in other.ids} & {tuple(ids[:16]) for ids in first.ids}


def test_no_two_prompts_share_a_cache_block(path_of: Callable[[Kind], Path]) -> None:
    prompts = workload.build(path_of("bytes"), 32, 400, seed=1)
    assert len({tuple(ids[:16]) for ids in prompts.ids}) == 400


def test_text_wraps_round_for_very_long_prompts(path_of: Callable[[Kind], Path]) -> None:
    tokens = 3 * len(workload.corpus())
    prompts = workload.build(path_of("bytes"), tokens, 1, seed=1)
    assert len(prompts.ids[0]) == tokens


def test_impossible_lengths_are_refused(path_of: Callable[[Kind], Path]) -> None:
    with pytest.raises(UsageError, match="input_tokens = 1"):
        workload.build(path_of("bos"), 1, 1, seed=1)


def test_probes_are_fixed_texts_of_one_length(path_of: Callable[[Kind], Path]) -> None:
    prompts = workload.probe_prompts(path_of("bos"))
    assert len(prompts) == len(set(prompts.text)) == 16
    assert {len(ids) for ids in prompts.ids} == {64}
    assert prompts == workload.probe_prompts(path_of("bos"))


def test_answers_are_tokenised_without_special_tokens(path_of: Callable[[Kind], Path]) -> None:
    path = path_of("bos")
    ids = workload.tokenise(path, "the statement")
    assert 1 not in ids
    assert Tokenizer.from_file(str(path)).decode(ids) == "the statement"


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path / "absent.json", tmp_path / "tokenizer.json"):
        with pytest.raises(UsageError, match=r"\.json: not a readable tokenizer\.json"):
            workload.load_tokenizer(path)


def test_a_python_without_its_reference_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    workload.corpus.cache_clear()
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(MachineError, match="no pydoc_data"):
        workload.corpus()
    workload.corpus.cache_clear()
