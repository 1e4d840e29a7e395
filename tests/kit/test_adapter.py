"""Evolution of a low-rank adapter: its forward pass is the model's, its fitness rises, its answers repeat."""

import numpy as np
import pytest
import torch
from test_finetune import make

from aarlab.kit.adapter import chunks, contrast, evolve_adapter, pooled, trimmed
from aarlab.kit.finetune import load_student


@pytest.mark.parametrize(("paired", "pool"), [(True, "mean"), (False, "last")])
def test_a_chunk_under_an_adapter_is_the_model_with_its_weights_added(tmp_path, paired, pool):
    task, _ = make(tmp_path, paired, pool, n=40, m=20)
    model, tokens = load_student(task.student), task.student.tokens("pool")
    rng = np.random.default_rng(0)
    u, v = (rng.standard_normal(s).astype(np.float32) * 0.1 for s in ((128, 2), (2, 32)))
    model.head.weight.data = torch.randn(1, 32, generator=torch.Generator().manual_seed(0))
    x = np.concatenate([pooled(c, (u, v)) for c in chunks(model, tokens, batch=16)])
    with torch.no_grad():
        model.body.blocks[-1].down.weight += torch.from_numpy((u @ v).T)
        z = model(torch.from_numpy(tokens.astype(np.int64))).numpy()
    got = contrast(x, paired) @ model.head.weight[0].detach().numpy() + (0 if paired else model.head.bias.item())
    np.testing.assert_allclose(got, z, atol=1e-4)


def test_trimmed_by_hand():
    z = np.array([[9, 1], [2, 2], [4, -7], [3, 4]], np.float32)
    np.testing.assert_allclose(trimmed(z), [3.5, 1.5])
    np.testing.assert_allclose(trimmed(z[:2]), [5.5, 1.5])


def test_evolution_sharpens_and_repeats(tmp_path):
    task, truth = make(tmp_path, True)
    still = evolve_adapter(task, task.weak, generations=0)
    p = evolve_adapter(task, task.weak, generations=6, rows=200)
    assert p.shape == (300,) and ((p >= 0) & (p <= 1)).all() and not np.array_equal(p, still)
    np.testing.assert_array_equal(p, evolve_adapter(task, task.weak, generations=6, rows=200))

    def clear(q):
        z = np.log(q / (1 - q))
        return np.abs(np.tanh(z / np.sqrt((z * z).mean()))).mean()

    assert clear(p) > clear(still)
    with pytest.raises(ValueError, match="labels must be in"):
        evolve_adapter(task, task.weak + 1)
