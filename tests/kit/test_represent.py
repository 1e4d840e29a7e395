"""Representations: scale, order, invariances, errors."""

import numpy as np
import pytest
from planted import plant

from aarlab.kit.represent import SUMMARIES, chosen, represent, sides, summaries
from aarlab.kit.task import W2STask


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("pair"))[0]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("single"), paired=False, logprobs=False)[0]


def gram(task, **options):
    pool, test = represent(task, logprobs=False, **options)
    return pool @ test.T


def test_shapes_and_scale(pair, single):
    pool, test = represent(pair)
    assert pool.shape == (600, 3 * 24 + len(SUMMARIES)) and test.shape == (800, pool.shape[1])
    assert pool.dtype == test.dtype == np.float32 and not pool.flags.writeable
    np.testing.assert_allclose((pool[:, :7] ** 2).mean(0), 1, rtol=1e-3)
    assert (pool[:, 7:] ** 2).mean() == pytest.approx(1, rel=1e-3)
    spread = (pool[:, 7:] ** 2).mean(0)
    assert (np.diff(spread) < 1e-3).all()
    alone, _ = represent(single, layers="last")
    assert alone.shape == (600, 24) and np.abs(alone.mean(0)).max() < 1e-5


def test_axes_are_uncorrelated_and_whitening_evens_them(pair):
    pool, _ = represent(pair, logprobs=False, pca=10, whiten=1.0)
    assert pool.shape[1] == 10
    covariance = pool.T @ pool / len(pool)
    np.testing.assert_allclose(covariance, np.eye(10) * covariance[0, 0], atol=1e-2 * covariance[0, 0])
    half, _ = represent(pair, logprobs=False, whiten=0.5)
    plain, _ = represent(pair, logprobs=False)

    def ratio(a):
        return a[:, 0].std() / a[:, -1].std()

    assert ratio(plain) > ratio(half) > 1.01


def test_logprob_scale_and_missing_logprobs(pair, single):
    big, _ = represent(pair, layers="last", logprob_scale=5.0)
    np.testing.assert_allclose(big[:, :7], 5 * represent(pair, layers="last")[0][:, :7], rtol=1e-5)
    np.testing.assert_array_equal(represent(single)[0], represent(single, logprobs=False)[0])


@pytest.mark.parametrize("options", [{}, {"pca": 8}, {"whiten": 1.0}, {"layers": "last", "whiten": 0.5}])
def test_a_rotation_of_every_layer_changes_no_distance(pair, tmp_path, options):
    for f in pair.student.folder.iterdir():
        (tmp_path / f.name).write_bytes(f.read_bytes())
    rng = np.random.default_rng(0)
    turn = np.stack([np.linalg.qr(rng.standard_normal((24, 24)))[0] for _ in range(3)])
    for part in ("pool", "test"):
        f = np.load(tmp_path / f"{part}.features.npy").astype(np.float32)
        np.save(tmp_path / f"{part}.features.npy", np.einsum("nsld,lde->nsle", f, turn).astype(np.float32))
    a, b = gram(pair, **options), gram(W2STask.load(tmp_path), **options)
    np.testing.assert_allclose(a, b, atol=3e-3 * np.abs(a).max())


def test_exchanging_the_sides_flips_the_sign(pair, tmp_path):
    for f in pair.student.folder.iterdir():
        (tmp_path / f.name).write_bytes(f.read_bytes())
    for what in ("features", "logprobs"):
        path = tmp_path / f"test.{what}.npy"
        np.save(path, np.load(path)[:, ::-1])
    np.testing.assert_allclose(represent(W2STask.load(tmp_path))[1], -represent(pair)[1], atol=1e-5)


def test_the_twin_is_another_student(pair):
    twin = W2STask.load(pair.student.folder, untrained=True)
    assert np.abs(represent(twin)[0] - represent(pair)[0]).max() > 0.1


def test_summaries_of_a_row_by_hand(tmp_path):
    task, _ = plant(tmp_path, 6, 4)
    lp = np.full((6, 2, 12), np.nan, np.float16)
    lp[0, 0, 1:5] = [-1, -4, -2, -3]
    lp[0, 1, 1:3] = [-1, -5]
    np.save(tmp_path / "pool.logprobs.npy", lp)
    got = summaries(task.student, "pool")
    np.testing.assert_allclose(got[0, 0], [-10, -2.5, -4, -3, -2, -3, np.std([1, 4, 2, 3])], atol=1e-5)
    np.testing.assert_allclose(got[0, 1], [-6, -3, -5, -1, 0, -5, 2], atol=1e-5)
    assert (got[1] == 0).all()


def test_lowest_summaries_of_long_rows(tmp_path):
    task, _ = plant(tmp_path, 50, 4, length=600)
    low = np.sort(np.nan_to_num(task.student.logprobs("pool"), nan=np.inf), -1)[..., :3]
    np.testing.assert_allclose(summaries(task.student, "pool")[..., 2:5], low, atol=1e-6)


def test_a_loud_layer_counts_no_more_than_a_quiet_one(pair, tmp_path):
    for f in pair.student.folder.iterdir():
        (tmp_path / f.name).write_bytes(f.read_bytes())
    for part in ("pool", "test"):
        path = tmp_path / f"{part}.features.npy"
        np.save(path, np.load(path).astype(np.float32) * np.array([0.1, 30, 1])[:, None])
    a, b = gram(pair), gram(W2STask.load(tmp_path))
    np.testing.assert_allclose(a, b, atol=3e-3 * np.abs(a).max())


def test_layers_by_name():
    assert chosen("all", 3) == (0, 1, 2) and chosen("last", 3) == (2,) and chosen("first", 3) == (0,)
    assert chosen("lower", 3) == (0, 1) and chosen("upper", 3) == (1, 2) and chosen((-1, 0), 3) == (2, 0)
    assert chosen("lower", 1) == chosen("upper", 1) == (0,)


def test_sides_are_centred_each_by_its_own_mean(pair):
    s = sides(pair.student, "all", 5)
    assert s.shape == (600, 2, 5)
    np.testing.assert_allclose(s.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose((s**2).mean((0, 1)), 1, rtol=1e-3)


def test_refuses(pair, single):
    with pytest.raises(ValueError, match="no layers 'top'; known: all"):
        represent(pair, layers="top")
    with pytest.raises(ValueError, match="layers"):
        represent(pair, layers=(3,))
    with pytest.raises(ValueError, match="pca"):
        represent(pair, pca=0)
    with pytest.raises(ValueError, match="paired"):
        sides(single.student, "all", 3)
    with pytest.raises(ValueError, match="no log-probabilities"):
        summaries(single.student, "pool")
