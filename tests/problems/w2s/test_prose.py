"""w2s/prose: who owns which sentence, what a row is, and that no sealed sentence can be read in a sandbox."""

import os
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from aarlab.kit.libraries import interpreter_paths, mounted_paths
from aarlab.problems.w2s.prose import TESTBED, corpus, corrupt, data, leaks, student
from aarlab.problems.w2s.testbed import SETS, Draw, Labelled
from aarlab.sandbox import stdlib


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def practice() -> Draw:
    return TESTBED.draw("practice", rng())


@pytest.fixture(scope="module")
def sealed() -> Draw:
    return TESTBED.draw("search", rng(1))


def parts(draw: Draw) -> list[Labelled]:
    return [draw.teacher, draw.pool, draw.test]


def originals(rows: Labelled) -> np.ndarray:
    return rows.inputs[np.arange(len(rows)), 1 - rows.y]


def test_sentences_are_read_as_they_are_shown() -> None:
    sentences = corpus.standard_library()
    assert len(sentences) > 8000
    assert len({s.key for s in sentences}) == len(sentences)
    for s in sentences[::37]:
        assert corpus.tokens(corpus.write(s.words)) == s.words


def test_files_and_sentences_belong_to_one_set() -> None:
    sentences = corpus.standard_library()
    owner_of_file: dict[str, str] = {}
    owner_of_key: dict[str, str] = {}
    for name, units in data.split().items():
        for unit in units:
            assert owner_of_file.setdefault(sentences[unit].source, name) == name
            assert owner_of_key.setdefault(sentences[unit].key, name) == name
    sizes = [len(units) for units in data.split().values()]
    assert sum(sizes) == len(sentences)
    assert max(sizes) - min(sizes) <= 0.02 * max(sizes)


def test_units_are_in_one_part_and_in_their_set(practice: Draw, sealed: Draw) -> None:
    for name, draw in (("practice", practice), ("search", sealed)):
        units = [set(p.unit.tolist()) for p in parts(draw)]
        assert not (units[0] & units[1] or units[0] & units[2] or units[1] & units[2])
        assert set.union(*units) <= set(data.split()[name])


def test_a_draw_is_large_enough(practice: Draw, sealed: Draw) -> None:
    for draw in (practice, sealed):
        assert len(draw.teacher) >= 2 * TESTBED.n_teacher
        assert len(draw.pool) >= 1.1 * TESTBED.n_pool
        assert len(draw.test) >= 3000
        assert 0.25 <= draw.test.ood.mean() <= 0.36
        assert not draw.pool.ood.any() and not draw.teacher.ood.any()


def test_one_side_is_the_original_and_the_other_is_not(practice: Draw) -> None:
    sentences = corpus.standard_library()
    for rows in parts(practice):
        assert [corpus.write(sentences[u].words) for u in rows.unit] == originals(rows).tolist()
        assert (rows.inputs[:, 0] != rows.inputs[:, 1]).all()
        assert len({tuple(sorted(pair)) for pair in rows.inputs.tolist()}) == len(rows)


def test_labels_are_balanced_in_every_kind() -> None:
    rows, kinds = data.rows(data.split()["practice"][::5], data.PRACTICE, 2, rng())
    for kind in data.PRACTICE.kinds:
        for ood in (False, True):
            y = rows.y[(np.array(kinds) == kind) & (rows.ood == ood)]
            assert len(y) and abs(int(y.sum()) * 2 - len(y)) <= 1


def test_concepts_of_practice_and_sealed_sets_are_disjoint(practice: Draw, sealed: Draw) -> None:
    for concept in data.SEALED:
        assert not set(concept.kinds) & set(data.PRACTICE.kinds)
        assert set(concept.kinds) <= set(data.KINDS)
    assert practice.concept == str(data.PRACTICE)
    assert sealed.concept in {str(c) for c in data.SEALED}
    assert len({TESTBED.draw("select", rng(i)).concept for i in range(3)}) > 1


def test_a_draw_depends_on_its_generator_alone(practice: Draw) -> None:
    again, other = TESTBED.draw("practice", rng()), TESTBED.draw("practice", rng(9))
    assert (again.pool.inputs == practice.pool.inputs).all() and (again.test.y == practice.test.y).all()
    assert set(map(tuple, other.pool.inputs)) != set(map(tuple, practice.pool.inputs))


@pytest.mark.parametrize("kind", data.KINDS)
def test_every_kind_changes_a_sentence_a_little(kind: str) -> None:
    words = corpus.tokens("the first of these values is added to the list, and it returns the number of items")
    rare = data.words_known().content[""][600]
    words = (*words, "when", "a", rare, "method", "has", "failed", ".")
    made = {data.KINDS[kind](words, data.words_known(), rng(i)) for i in range(20)} - {None}
    assert made and words not in made
    for bad in made:
        assert bad is not None and abs(len(bad) - len(words)) <= 1
        assert len(set(words) ^ set(bad)) <= 2
        assert corpus.tokens(corpus.write(bad)) == bad


def test_commoner_words_are_commoner() -> None:
    common = ["aaa", "bbb", "ccc", "ddd", "eee", "fff", "ggg", "hhh"]
    lex = corrupt.lexicon(["<pad>", "the", *common, "zzz"])
    assert lex.rank["the"] == 0 and "<pad>" not in lex.rank
    made = corrupt.replace_content(True, ("",), factor=1.2)(("zzz", "."), lex, rng())
    assert made is not None and made[0] in common
    assert corrupt.replace_content(False, ("",), factor=1.2)(("zzz", "."), lex, rng()) is None


def test_shortcut_marks_the_wrong_side_and_is_off_by_default(practice: Draw) -> None:
    assert np.char.endswith(practice.pool.inputs, ".").all()
    marked = data.draw("practice", rng(), shortcut=1.0).pool
    assert (np.char.endswith(marked.inputs[:, 0], ".") == (marked.y == 1)).all()
    with pytest.raises(ValueError, match="shortcut"):
        TESTBED.draw("practice", rng(), shortcut=2.0)


def test_length_tells_little(practice: Draw) -> None:
    """A surface control: the longer side is the original more often than not, but no more than the teacher knows."""
    longer = np.char.str_len(practice.test.inputs)
    right = np.where(longer[:, 0] == longer[:, 1], 0.5, (longer[:, 0] > longer[:, 1]) == practice.test.y)
    assert 0.4 < right.mean() < 0.68
    cut = data.draw("practice", rng(), shortcut=1.0).test  # the control of this control
    longer = np.char.str_len(cut.inputs)
    assert ((longer[:, 0] > longer[:, 1]) == cut.y).mean() > right.mean() + 0.04


def test_teacher_is_weak_and_exchanges_with_the_sides(practice: Draw) -> None:
    predict = TESTBED.fit_teacher(practice.teacher.take(np.arange(TESTBED.n_teacher)), 0)
    p = predict(practice.test)
    mirrored = Labelled(practice.test.inputs[:, ::-1], 1 - practice.test.y, practice.test.unit, practice.test.ood)
    assert np.allclose(predict(mirrored), 1 - p, atol=1e-6)
    assert 0.53 < ((p > 0.5) == practice.test.y).mean() < 0.75


@pytest.mark.parametrize("seed", TESTBED.students)
def test_student_knows_more_than_its_twin(seed: int, practice: Draw) -> None:
    rows = practice.test.take(np.arange(300))
    trained, twin = (TESTBED.encode(rows.inputs, seed, untrained=u) for u in (False, True))
    n = len(rows)
    assert trained.logprobs is not None and twin.logprobs is not None and trained.tokens is not None
    assert trained.features.shape == twin.features.shape == (n, 2, 3, 96)
    assert trained.logprobs.shape == trained.tokens.shape == (n, 2, student.LENGTH)
    assert trained.features.dtype == trained.logprobs.dtype == np.float16 and np.isfinite(trained.features).all()
    real = trained.tokens != 0
    assert (np.isnan(trained.logprobs[..., 1:]) == ~real[..., 1:]).all() and np.isnan(trained.logprobs[..., 0]).all()

    def right(logprobs: np.ndarray) -> float:
        mean = np.nanmean(logprobs.astype(np.float32), -1)
        return float(((mean[:, 0] > mean[:, 1]) == rows.y).mean())

    assert right(trained.logprobs) > 0.7
    assert right(twin.logprobs) < 0.62


def test_pretraining_is_seeded_and_writes_what_encode_reads(tmp_path: Path) -> None:
    text = [corpus.Sentence(("a", "cat", "sees", "the", "dog", "."), "x", False)] * 80
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, seed in zip(paths, (5, 5, 6), strict=True):
        student.pretrain(seed, steps=2, path=path, sentences=text)
    a, b, c = (load_file(path)["tokens.weight"] for path in paths)
    assert (a == b).all() and (a != c).any()
    assert student.vocabulary_of(text)[len(student.SPECIAL) :] == [".", "a", "cat", "dog", "sees", "the"]


def test_pretraining_text_holds_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = corpus.write(corpus.standard_library()[0].words).capitalize()
    (tmp_path / "__init__.py").write_text(f'"""A quite unheard-of sentence about blue herons.\n\n{own}\n"""\n')
    monkeypatch.syspath_prepend(tmp_path.parent)
    monkeypatch.setattr(corpus, "LIBRARIES", (tmp_path.name,))
    assert [s.key for s in corpus.libraries()] == ["a quite unheard-of sentence about blue herons"]


def test_unknown_words_are_told_apart() -> None:
    assert [student.unknown(w) for w in ("3.5", "sys.path", "zorbing", "zorbed", "zorb")] == [
        "<number>", "<code>", "<-ing>", "<-ed>", "<word>",
    ]  # fmt: skip


# -- leaks


def test_find_sees_through_comments_case_and_binary() -> None:
    texts = ["the quick brown fox jumps over it", "no such words are here today", "two words"]
    hidden = [
        b"\x00\x7fELF junk # The QUICK\n    # brown `fox`\n", b"  #: jumps over\\nit.\x00", b"Two-words",
    ]  # fmt: skip
    assert leaks.find(texts, hidden) == {texts[0], texts[2]}
    assert leaks.find(texts, [b"the quick brown fox jumps over iterators"]) == set()


def test_find_crosses_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "CHUNK", 1000)
    monkeypatch.setattr(leaks, "OVERLAP", 200)
    text = "a sentence that stands across the border of two chunks"
    for lead in range(900, 1100, 7):
        assert leaks.find([text], [b"x " * (lead // 2) + text.encode() + b" y" * 2000]) == {text}


def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = next(s.key for s in corpus.standard_library() if len(s.words) > 10 and s.key == leaks.normal(s.key))
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(leaks, "mounted", lambda: [tmp_path / "mount"])
    monkeypatch.setattr(leaks, "messages", lambda root: iter(()))
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "a.txt").write_text("nothing here")
    leaks.leaked.cache_clear()
    try:
        assert leaks.leaked() == set()
        (tmp_path / "mount" / "b.txt").write_text("# " + key.upper().replace(" ", "\n# "))
        leaks.leaked.cache_clear()
        assert leaks.leaked() == {key}
    finally:
        leaks.leaked.cache_clear()


def test_what_is_not_scanned_is_not_mounted() -> None:
    skipped = leaks.LEFT_OUT - {"lib-dynload"}  # its extension modules are scanned as they are
    assert skipped <= stdlib.LEFT_OUT
    assert {p.parent.name for p in interpreter_paths()} & {"lib-dynload"} or sysconfig.get_config_var("DESTSHARED")


def independent_grep(sentences: list[str], paths: list[Path], largest: int = 4 << 20) -> set[str]:
    """Another algorithm than leaks.find: whole files as single-spaced words, searched one sentence at a time."""
    table = bytes(c if 97 <= c <= 122 else c + 32 if 65 <= c <= 90 else 32 for c in range(256))
    found: set[str] = set()
    batch: list[bytes] = []
    for path in [*paths, None]:
        if path is not None and path.stat().st_size <= largest:
            batch.append(path.read_bytes().translate(table))
        if path is None or sum(map(len, batch)) > 1 << 25:
            text = b" " + b" ".join(b" ".join(batch).split()) + b" "
            found |= {s for s in sentences if b" " + leaks.normal(s).encode() + b" " in text}
            batch = []
    return found


def test_no_sealed_sentence_is_in_the_mounts(sealed: Draw, tmp_path: Path) -> None:
    texts = sorted(set(originals(sealed.test)))
    sample = [texts[i] for i in rng(3).choice(len(texts), 25, replace=False)]
    planted, known = "sentences planted in a file of the mounts are found", sorted(leaks.leaked())
    (tmp_path / "planted.py").write_text("# Sentences planted in\n#   a file of the mounts are found.\n")
    files = [f for f in leaks.files_under(mounted_paths()) if f.suffix in (".py", ".pyi", ".h", ".md", ".so", ".txt")]
    files = [*files, *leaks.files_under(interpreter_paths()), tmp_path / "planted.py"]
    assert independent_grep([*sample, planted], files) == {planted}
    assert known and not {s.key for s in corpus.standard_library() if s.key in known} & {
        corpus.standard_library()[u].key for p in parts(sealed) for u in p.unit
    }


def test_the_split_names_every_set() -> None:
    assert tuple(data.split()) == SETS
    assert os.path.isdir(sysconfig.get_path("stdlib"))
